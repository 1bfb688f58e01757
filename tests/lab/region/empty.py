"""Take everything out of the region that a test may have put there.

Servers, groups, aggregates and stray allocations go; every compute service is
enabled.  Run while the hosts are renewed.  Records of past migrations and actions stay: nova has no way to drop them.
"""
import concurrent.futures
import sys
import time

import openstack

cloud = openstack.connect(cloud='lab')
nova, placement = cloud.compute, cloud.placement
nova.default_microversion = '2.53'
services = list(nova.services(binary='nova-compute'))


def put(**body):
    for service in services:
        answer = nova.put('/os-services/%s' % service.id, json=body, microversion='2.53')
        if answer.status_code != 200:
            sys.exit('%s %s: %s' % (service.host, body, answer.text))


# The hosts boot meanwhile.  Of a compute that counts as down nova asks nothing: servers are
# deleted in the database at once, and the service is enabled without a word to the host.
put(forced_down=True)
put(status='enabled')
deadline = time.time() + 240
deleted = set()


def delete(server):  # with others deleted beside it nova fails now and then: asked again
    try:
        nova.delete_server(server)
        deleted.add(server)
    except openstack.exceptions.HttpException as error:
        if error.status_code < 500 and error.status_code != 409:
            raise


with concurrent.futures.ThreadPoolExecutor(4) as pool:
    while True:
        left = {s.id: s.name for s in nova.servers(details=False, all_projects=True)}
        if not left:
            break
        if time.time() > deadline:
            sys.exit('not deleted: %s' % sorted(left.values()))
        list(pool.map(delete, set(left) - deleted))
        time.sleep(0.3)
put(forced_down=False)

for group in nova.server_groups(all_projects=True):
    nova.delete_server_group(group.id)
for aggregate in nova.aggregates():
    for host in aggregate.hosts or ():
        nova.remove_host_from_aggregate(aggregate.id, host)
    nova.delete_aggregate(aggregate.id)

# a migration whose source died leaves allocations that nova never heals
stray = set()
for provider in placement.resource_providers():
    answer = placement.get('/resource_providers/%s/allocations' % provider.id)
    stray |= set(answer.json().get('allocations', {}))
for consumer in stray:
    placement.delete('/allocations/%s' % consumer)
print('%d servers deleted, %d stray allocations' % (len(deleted), len(stray)))

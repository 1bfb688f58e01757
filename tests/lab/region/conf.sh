# shellcheck shell=bash
# conf.sh - the configuration of every service, of the hosts' nova-compute and of clients.
# Sourced by region.sh, whose variables it uses.
# shellcheck disable=SC2154

auth() {  # how service user $1 logs in
  cat <<C
auth_url = http://$IP:$KEYSTONE_PORT/v3
auth_type = password
username = $1
password = $PASSWORD
project_name = service
user_domain_name = Default
project_domain_name = Default
region_name = $REGION
C
}
authtoken() {  # the section every API but keystone needs
  cat <<C
[keystone_authtoken]
www_authenticate_uri = http://$IP:$KEYSTONE_PORT/v3
$(auth "$1")
C
}
nova_common() {  # what api, scheduler, conductor and the computes share
  cat <<C
[DEFAULT]
transport_url = $BUS
# fast clocks: a dead nova-compute is seen as down after 6 s
report_interval = 2
periodic_fuzzy_delay = 0
service_down_time = 6
rpc_response_timeout = 20
update_resources_interval = 10
sync_power_state_interval = $SYNC_POWER
heal_instance_info_cache_interval = -1
# A source host does not tell the scheduler of a guest that left by live migration
# until this sync (120 in production): till then anti-affinity refuses the host.
scheduler_instance_sync_interval = $SCHED_SYNC
max_concurrent_live_migrations = 4
[oslo_messaging_rabbit]
heartbeat_timeout_threshold = 20
[oslo_messaging_notifications]
driver = noop
[vnc]
enabled = false
[spice]
enabled = false
[placement]
$(auth placement)
[neutron]
$(auth neutron)
[service_user]
send_service_user_token = true
$(auth nova)
$(authtoken nova)
C
}

write_conf() {
  mkdir -p "$CONF" "$LOGS" "$PIDS" "$RUN/lock" "$LABD" \
    "$DATA"/{nova,neutron,images,images-staging,images-tasks,rabbit}
  echo "$RELEASE" >"$RUN/release"
  printf '%s=%s\n' LM_SECONDS "$LM_SECONDS" SCHED_SYNC "$SCHED_SYNC" SYNC_POWER "$SYNC_POWER" >"$RUN/settings"
  conf_stores; conf_keystone; conf_placement; conf_glance; conf_neutron; conf_nova
  conf_hosts
}

conf_stores() {
  cat >"$CONF/my.cnf" <<C
[mariadbd]
datadir = $DATA/mysql
socket = $RUN/mysql.sock
pid-file = $RUN/mysql.pid
bind-address = 127.0.0.1
port = $DB_PORT
skip-name-resolve
skip-log-bin
max_connections = 2000
innodb_buffer_pool_size = 256M
innodb_log_file_size = 32M
innodb_flush_log_at_trx_commit = 0
innodb_doublewrite = 0
performance_schema = 0
character-set-server = utf8mb3
collation-server = utf8mb3_general_ci
C
  cat >"$CONF/rabbitmq.conf" <<C
listeners.tcp.1 = $IP:$MQ_PORT
default_user = lab
default_pass = $PASSWORD
loopback_users = none
log.file.level = warning
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 200MB
C
}
conf_keystone() {
  cat >"$CONF/keystone.conf" <<C
[DEFAULT]
log_file = $LOGS/keystone.log
[database]
connection = $DB/keystone
[identity]
# bcrypt at its default costs 0.3 s a login
password_hash_rounds = 4
[token]
provider = fernet
expiration = 86400
[fernet_tokens]
key_repository = $DATA/fernet
[credential]
key_repository = $DATA/credential
[fernet_receipts]
key_repository = $DATA/fernet
C
}
conf_placement() {
  cat >"$CONF/placement.conf" <<C
[DEFAULT]
log_file = $LOGS/placement.log
[api]
auth_strategy = keystone
[placement_database]
connection = $DB/placement
$(authtoken placement)
C
}
conf_glance() {
  cp "$PASTE_GLANCE" "$CONF/glance-api-paste.ini"      # Zed wants it beside the conf
  cat >"$CONF/glance-api.conf" <<C
[DEFAULT]
log_file = $LOGS/glance.log
enabled_backends = lab:file
[database]
connection = $DB/glance
[glance_store]
default_backend = lab
[lab]
filesystem_store_datadir = $DATA/images
[os_glance_staging_store]
filesystem_store_datadir = $DATA/images-staging
[os_glance_tasks_store]
filesystem_store_datadir = $DATA/images-tasks
[paste_deploy]
flavor = keystone
config_file = $PASTE_GLANCE
$(authtoken glance)
C
}
conf_neutron() {
  cat >"$CONF/neutron.conf" <<C
[DEFAULT]
log_file = $LOGS/neutron.log
core_plugin = ml2
service_plugins =
state_path = $DATA/neutron
transport_url = $BUS
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
api_paste_config = $PASTE_NEUTRON
rpc_workers = 0
[database]
connection = $DB/neutron
[oslo_concurrency]
lock_path = $RUN/lock
[ml2]
type_drivers = local
tenant_network_types = local
mechanism_drivers =
$(authtoken neutron)
C
}
conf_nova() {
  cp "$PASTE_NOVA" "$CONF/api-paste.ini"               # named in OS_NOVA_CONFIG_FILES
  { nova_common; cat <<C; } >"$CONF/nova.conf"
[DEFAULT]
state_path = $DATA/nova
my_ip = $IP
host = controller
[api]
auth_strategy = keystone
[wsgi]
api_paste_config = $PASTE_NOVA
[quota]
instances = 5000
cores = 20000
ram = 50000000
server_group_members = 1000
[conductor]
workers = 1
[scheduler]
workers = 1
# a new compute is invisible until it is mapped to a cell
discover_hosts_in_cells_interval = 2
[filter_scheduler]
enabled_filters = ComputeFilter,ComputeCapabilitiesFilter,ImagePropertiesFilter,ServerGroupAntiAffinityFilter,ServerGroupAffinityFilter,AggregateInstanceExtraSpecsFilter
[oslo_concurrency]
lock_path = $RUN/lock
[oslo_policy]
enforce_scope = true
enforce_new_defaults = true
[cinder]
catalog_info = volumev3::internalURL
C
  # Database access is for api, scheduler and conductor only: a nova-compute
  # that finds [api_database] tries to use it and logs errors.
  cat >"$CONF/nova-db.conf" <<C
[api_database]
connection = $DB/nova_api
[database]
connection = $DB/nova
C
}

# The hosts' side: the driver, and settings that the image's nova.conf, kept like one in
# production, does not have.  Here no host name is set: nova takes the host's own.  No
# resume at boot (nova's default): a lost guest shows.
conf_hosts() {
  { nova_common; cat <<C; } >"$LABD/lab.conf"
[DEFAULT]
state_path = /var/lib/nova
log_file = /var/log/nova/nova-compute.log
# wait for nothing at a stop: saves 5 s of each reboot
manager_shutdown_timeout = 0
[oslo_concurrency]
lock_path = /var/lib/nova/tmp
C
  conf_driver >>"$LABD/lab.conf"
  conf_compute_env >"$LABD/env.new"
  cp "$SRC"/nova_lab/* "$LABD/"
  mv "$LABD/env.new" "$LABD/env"        # last: hosts boot once it is there
}
conf_driver() {
  case $DRIVER in
  fake) cat <<C;;
[DEFAULT]
compute_driver = labfake.LabDriver
[compute]
max_disk_devices_to_attach = 4
[lab]
live_migration_seconds = $LM_SECONDS
C
  libvirt) cat <<C;;
[DEFAULT]
compute_driver = libvirt.LibvirtDriver
reserved_host_memory_mb = 0
cpu_allocation_ratio = 32
[libvirt]
virt_type = qemu
images_type = raw
live_migration_scheme = tcp
[workarounds]
# nova's inspection of images takes a bzImage for a broken partition table in
# pre_live_migration (not at the boot): without this no guest with a kernel image moves
disable_deep_image_inspection = True
[nova_sys_admin]
helper_command = $BIN/privsep-helper --config-file /etc/nova/nova.conf --config-dir /etc/nova/lab.d
C
  esac
}
conf_compute_env() {  # sourced by the hosts' /usr/bin/nova-compute
  case $RELEASE in
    pypi34) echo "PYTHON=$PY";;
    zed) echo "PYTHON=/usr/bin/python3; export PYTHONPATH=/opt/nova-dist EVENTLET_NO_GREENDNS=yes";;
  esac
  [ "$DRIVER" != libvirt ] || cat <<'C'
# python3-libvirt is Debian's
export PYTHONPATH=/opt/libvirt-python
mkdir -p /run/lab/nova.d
printf '[DEFAULT]\nmy_ip = %s\n' "$(getent hosts "$(hostname)" | cut -d' ' -f1)" >/run/lab/nova.d/host.conf
set -- "$@" --config-dir /run/lab/nova.d
C
}

clouds_yaml() {
  local c cloud user project
  echo "clouds:" >"$LAB_STATE/clouds.yaml"
  for c in lab:admin:admin operator:operator:admin demo:demo:demo; do   # cloud:user:project
    IFS=: read -r cloud user project <<<"$c"
    cat >>"$LAB_STATE/clouds.yaml" <<C
  $cloud:
    auth: {auth_url: "http://$NAME:$KEYSTONE_PORT/v3", username: $user, password: $PASSWORD,
           project_name: $project, user_domain_name: Default, project_domain_name: Default}
    region_name: $REGION
C
  done
  cat >"$LAB_STATE/openrc" <<C
export OS_AUTH_URL=http://$NAME:$KEYSTONE_PORT/v3 OS_USERNAME=admin OS_PASSWORD=$PASSWORD
export OS_PROJECT_NAME=admin OS_USER_DOMAIN_NAME=Default OS_PROJECT_DOMAIN_NAME=Default
export OS_REGION_NAME=$REGION OS_IDENTITY_API_VERSION=3
C
}


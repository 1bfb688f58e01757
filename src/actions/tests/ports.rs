//! The ports of the scripted region.

use async_trait::async_trait;
use jiff::Timestamp;

use super::region::{Fault, HOST, Lab, State, cloud_error, epoch, host};
use crate::actions::{Intents, Progress, ProgressSink, StepError};
use crate::clock::Clock;
use crate::cloud::{
    Accepted, Aggregate, Allocation, ApiCost, Cloud, CloudErrorKind, CloudResult, Compute, ComputeService, Hypervisor,
    InstanceAction, Migration, MigrationProgress, MigrationsQuery, NewServer, Placement, Provider, Server, ServerGroup,
    ServersQuery,
};
use crate::host::facts::{STATUS_NOT_THERE, section};
use crate::host::{
    Boot, FenceOrder, HostError, HostErrorKind, HostResult, HostShell, Inquiry, Job, JobOrder, JobStatus, PowerOrder,
    RawFacts, RebootOrder, Section,
};
use crate::http::JsonAnswer;
use crate::model::{
    Domain, DomainState, HostIdentity, HostName, InstanceId, InstanceStatus, RequestId, Resources, ServiceId,
    ServiceStatus, UnitName,
};
use crate::outside::{Call, Ended, Exit, HttpCall, Kept, Outside, Rung, with_host};
use crate::run::event::{CommandRun, Intent};

impl Lab {
    /// One call to the cloud: `effect` is written down when it changes something and arrives.
    fn cloud<T>(
        &self,
        operation: &'static str,
        effect: Option<String>,
        answer: impl FnOnce(&mut State) -> CloudResult<T>,
    ) -> CloudResult<T> {
        let mut state = self.state();
        let fault = state.next_fault(operation);
        if let Some(Fault::Refused(kind)) = fault {
            return Err(cloud_error(kind, operation));
        }
        let answer = answer(&mut state)?;
        state.effects.extend(effect);
        match fault {
            Some(Fault::Lost(kind)) => Err(cloud_error(kind, operation)),
            Some(Fault::Host(_) | Fault::HostLost(_)) => panic!("{operation} is no operation on a host"),
            Some(Fault::Refused(_)) | None => Ok(answer),
        }
    }

    /// One operation on the host.
    fn shell<T>(
        &self,
        operation: &'static str,
        effect: Option<String>,
        answer: impl FnOnce(&mut State) -> HostResult<T>,
    ) -> HostResult<T> {
        let mut state = self.state();
        let fault = state.next_fault(operation);
        let error = |kind, message: &str| Err(HostError::new(&host(HOST), operation, kind, message));
        if let Some(Fault::Host(kind)) = fault {
            return error(kind, &format!("{kind:?}"));
        }
        if !state.answers {
            return error(HostErrorKind::Unreachable, "no route to host");
        }
        let answer = answer(&mut state)?;
        state.effects.extend(effect);
        match fault {
            Some(Fault::HostLost(kind)) => error(kind, &format!("{kind:?}")),
            Some(Fault::Refused(_) | Fault::Lost(_)) => panic!("{operation} is no call to the cloud"),
            Some(Fault::Host(_)) | None => Ok(answer),
        }
    }
}

fn accepted(request: &str) -> Accepted {
    Accepted { request: Some(RequestId::new(request)) }
}

#[async_trait]
impl Compute for Lab {
    async fn services(&self) -> CloudResult<Vec<ComputeService>> {
        self.cloud("services", None, |s| Ok(s.services.values().cloned().collect()))
    }

    async fn disable_service(&self, service: &ServiceId, reason: &str) -> CloudResult<Accepted> {
        self.cloud("disable_service", Some(format!("disable {service}: {reason}")), |s| {
            let found = s.services.values_mut().find(|one| one.service.id == *service).expect("one of three");
            found.service.status = ServiceStatus::Disabled;
            found.service.disabled_reason = Some(reason.to_owned());
            Ok(accepted("req-disable"))
        })
    }

    async fn enable_service(&self, service: &ServiceId) -> CloudResult<Accepted> {
        self.cloud("enable_service", Some(format!("enable {service}")), |s| {
            let found = s.services.values_mut().find(|one| one.service.id == *service).expect("one of three");
            found.service.status = ServiceStatus::Enabled;
            found.service.disabled_reason = None;
            Ok(accepted("req-enable"))
        })
    }

    async fn hypervisors(&self) -> CloudResult<Vec<Hypervisor>> {
        let hypervisor = Hypervisor {
            id: "uuid".to_owned(),
            hostname: format!("{HOST}.example"),
            host: host(HOST),
            kind: "QEMU".to_owned(),
        };
        Ok(vec![hypervisor])
    }

    async fn aggregates(&self) -> CloudResult<Vec<Aggregate>> {
        panic!("no action lists aggregates")
    }

    async fn server_groups(&self) -> CloudResult<Vec<ServerGroup>> {
        self.cloud("server_groups", None, |s| Ok(s.groups.clone()))
    }

    async fn servers(&self, query: &ServersQuery) -> CloudResult<Vec<Server>> {
        self.cloud("servers", None, |s| {
            let is_there = |one: &&Server| query.host.is_none() || one.host == query.host;
            let is_named = |one: &&Server| query.name.as_ref().is_none_or(|name| one.name == *name);
            Ok(s.servers.values().filter(is_there).filter(is_named).cloned().collect())
        })
    }

    async fn server(&self, server: InstanceId) -> CloudResult<Server> {
        self.cloud("server", None, |s| {
            s.servers.get(&server).cloned().ok_or_else(|| cloud_error(CloudErrorKind::NotFound, "server"))
        })
    }

    async fn migrations(&self, query: &MigrationsQuery) -> CloudResult<Vec<Migration>> {
        self.cloud("migrations", None, |s| {
            let at =
                |one: &Migration, at: &HostName| [&one.source, &one.target].iter().any(|end| **end == Some(at.clone()));
            let found = s.migrations.iter().rev().filter(|one| {
                query.instance.is_none_or(|instance| one.instance == instance)
                    && query.host.as_ref().is_none_or(|host| at(one, host))
                    && (!query.in_progress || one.status.is_in_progress())
            });
            Ok(found.cloned().collect())
        })
    }

    async fn migration_progress(&self, _: InstanceId, _: u64) -> CloudResult<Option<MigrationProgress>> {
        Ok(Some(MigrationProgress { memory_total: 100, memory_remaining: 58, ..MigrationProgress::default() }))
    }

    async fn live_migrate(&self, server: InstanceId, target: Option<&HostName>) -> CloudResult<Accepted> {
        let target = target.expect("moves name their target").clone();
        self.cloud("live_migrate", Some(format!("migrate {server} to {target}")), |s| {
            let Some(found) = s.servers.get(&server) else {
                return Err(cloud_error(CloudErrorKind::NotFound, "live_migrate"));
            };
            if found.task_state.is_some() {
                return Err(cloud_error(CloudErrorKind::Conflict, "live_migrate"));
            }
            s.migrate(server, &target, RequestId::new("req-migrate"));
            Ok(accepted("req-migrate"))
        })
    }

    async fn cold_migrate(&self, server: InstanceId, target: Option<&HostName>) -> CloudResult<Accepted> {
        let target = target.expect("moves name their target").clone();
        self.cloud("cold_migrate", Some(format!("cold-migrate {server} to {target}")), |s| {
            s.migrate_cold(server, &target);
            Ok(accepted("req-cold"))
        })
    }

    async fn confirm_resize(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.cloud("confirm_resize", Some(format!("confirm {server}")), |s| {
            s.confirm(server);
            Ok(accepted("req-confirm"))
        })
    }

    async fn abort_migration(&self, server: InstanceId, migration: u64) -> CloudResult<Accepted> {
        self.cloud("abort_migration", Some(format!("abort {server}")), |s| {
            s.abort(server, migration);
            Ok(accepted("req-abort"))
        })
    }

    async fn force_complete(&self, _: InstanceId, _: u64) -> CloudResult<Accepted> {
        panic!("no action forces")
    }

    async fn stop(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.cloud("stop", Some(format!("stop {server}")), |s| s.power(server, false))
    }

    async fn start(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.cloud("start", Some(format!("start {server}")), |s| s.power(server, true))
    }

    async fn create_server(&self, server: &NewServer) -> CloudResult<Accepted> {
        self.cloud("create_server", Some(format!("create {}", server.name)), |s| {
            s.create(server);
            Ok(accepted("req-create"))
        })
    }

    async fn delete_server(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.cloud("delete_server", Some(format!("delete {server}")), |s| {
            s.later(2, move |s| {
                s.servers.remove(&server);
            });
            Ok(accepted("req-delete"))
        })
    }

    async fn instance_actions(&self, server: InstanceId) -> CloudResult<Vec<InstanceAction>> {
        self.cloud("instance_actions", None, |s| Ok(s.actions.get(&server).cloned().unwrap_or_default()))
    }
}

#[async_trait]
impl Placement for Lab {
    async fn providers(&self) -> CloudResult<Vec<Provider>> {
        panic!("no action lists every provider")
    }

    /// Placement knows a host by its hypervisor's own name.
    async fn provider(&self, host: &HostName) -> CloudResult<Option<Provider>> {
        let provider = Provider {
            id: format!("provider-of-{host}"),
            name: host.to_string(),
            capacity: Resources::basic(64, 65_536, 1_000),
            used: Resources::default(),
            traits: Vec::new(),
            aggregates: Vec::new(),
        };
        let known = host.as_str().ends_with(".example");
        self.cloud("provider", None, |_| Ok(known.then_some(provider)))
    }

    async fn allocations(&self, provider: &str) -> CloudResult<Vec<Allocation>> {
        self.cloud("allocations", None, |s| {
            let is_here = |at: &HostName| provider == format!("provider-of-{at}.example");
            let here = s
                .servers
                .values()
                .filter(|one| one.host.as_ref().is_some_and(is_here) && !s.unallocated.contains(&one.id));
            let held = here.map(|one| Allocation { consumer: one.id.to_string(), resources: one.resources.clone() });
            Ok(held.chain(s.stray_allocations.iter().cloned()).collect())
        })
    }
}

impl Cloud for Lab {
    fn region(&self) -> &'static str {
        "RegionOne"
    }

    fn cost(&self) -> ApiCost {
        ApiCost::default()
    }
}

fn domain_state(status: &InstanceStatus) -> DomainState {
    match status.as_str() {
        "SHUTOFF" | "SUSPENDED" | "SHELVED" | "SOFT_DELETED" => DomainState::ShutOff,
        "PAUSED" => DomainState::Paused,
        _ => DomainState::Running,
    }
}

#[async_trait]
impl HostShell for Lab {
    async fn collect(&self, _: &HostName, _: &Inquiry) -> HostResult<RawFacts> {
        self.shell("collect", None, |s| Ok(sections(s)))
    }

    async fn identity(&self, _: &HostName) -> HostResult<HostIdentity> {
        self.shell("identity", None, |s| Ok(s.identity.clone()))
    }

    async fn boot(&self, _: &HostName) -> HostResult<Boot> {
        self.shell("boot", None, |s| Ok(Boot { id: s.boot.clone(), uptime_s: 100 }))
    }

    async fn domains(&self, _: &HostName) -> HostResult<Vec<Domain>> {
        self.shell("domains", None, |s| {
            let here = s.servers.values().filter(|one| one.host == Some(host(HOST)));
            let domains = here.map(|one| Domain {
                id: one.id.to_string(),
                name: format!("instance-of-{}", one.name),
                state: s.domain_states.get(&one.id).copied().unwrap_or_else(|| domain_state(&one.status)),
            });
            Ok(domains.chain(s.stray_domains.iter().cloned()).collect())
        })
    }

    async fn start_job(&self, order: &JobOrder) -> HostResult<()> {
        let effect = match &order.job {
            Job::StagePackages(_) | Job::StageAll(_) => "stage",
            Job::UpdatePackages(_) | Job::UpdateAll(_) => "update",
            Job::AddCpuFlags { .. } => "edit",
        };
        let (unit, job) = (order.unit.clone(), order.job.clone());
        self.shell("start_job", Some(format!("{effect} {unit}")), |s| {
            assert!(!s.jobs.contains_key(&unit), "a unit of that name is there: {unit}");
            s.jobs.insert(unit.clone(), JobStatus::Running);
            let (seconds, status, output) = s.job;
            s.later(seconds, move |s| {
                s.jobs.insert(unit, JobStatus::Ended { status, output: output.to_owned() });
                match job {
                    Job::UpdatePackages(_) | Job::UpdateAll(_) if status == 0 => s.installed = s.available,
                    Job::AddCpuFlags { flags, .. } if status == 0 => {
                        s.nova_conf = format!(
                            "[libvirt]\ncpu_mode = custom\ncpu_model = IvyBridge\ncpu_model_extra_flags = {}\n",
                            flags.join(", ")
                        );
                    }
                    Job::StagePackages(_)
                    | Job::UpdatePackages(_)
                    | Job::StageAll(_)
                    | Job::UpdateAll(_)
                    | Job::AddCpuFlags { .. } => {}
                }
            });
            Ok(())
        })
    }

    async fn job(&self, _: &HostName, unit: &UnitName) -> HostResult<JobStatus> {
        self.shell("job", None, |s| Ok(s.jobs.get(unit).cloned().unwrap_or(JobStatus::Absent)))
    }

    async fn forget_job(&self, _: &HostName, unit: &UnitName) -> HostResult<()> {
        self.shell("forget_job", None, |s| {
            s.jobs.remove(unit);
            Ok(())
        })
    }

    async fn fence(&self, order: &FenceOrder) -> HostResult<()> {
        let up = order.up;
        self.shell("fence", Some(format!("fence {}", if up { "up" } else { "down" })), |s| {
            s.unit = if up { "inactive" } else { "active" };
            Ok(())
        })
    }

    async fn reboot(&self, order: &RebootOrder) -> HostResult<()> {
        let boot = order.boot().to_owned();
        self.shell("reboot", Some("reboot".to_owned()), |s| {
            assert_eq!(s.boot, boot, "the host itself refuses an order for another boot");
            s.reboot();
            Ok(())
        })
    }
}

/// What the host prints.
fn sections(s: &State) -> RawFacts {
    let text = |text: String| Section { status: 0, text };
    let mut raw = RawFacts::default();
    let mut put = |name: &str, section: Section| raw.sections.insert(name.to_owned(), section);
    put(section::OS_RELEASE, text("ID=\"rhel\"\nVERSION_ID=\"7.6\"\n".to_owned()));
    put(section::RPM, text(format!("microcode_ctl 2:{}-1 x86_64\n", s.installed)));
    put(section::DPKG, Section { status: STATUS_NOT_THERE, text: String::new() });
    put(section::COMPUTE_UNIT, text(format!("LoadState=loaded\nActiveState={}\n", s.unit)));
    put(&section::nova_conf(0, "/etc/nova/nova.conf"), text(s.nova_conf.clone()));
    let vulnerabilities = if s.vulnerabilities_readable {
        text(format!("mds: {}\n", s.sysfs))
    } else {
        Section { status: 124, text: String::new() }
    };
    put(section::VULNERABILITIES, vulnerabilities);
    put(section::FINGERPRINT, text(s.fingerprint.to_owned()));
    raw
}

impl Clock for Lab {
    fn now(&self) -> Timestamp {
        epoch().checked_add(self.began.elapsed()).expect("a test lasts less than a century")
    }
}

impl ProgressSink for Lab {
    fn report(&self, progress: Progress) {
        self.state().progress.push(progress);
    }
}

#[async_trait]
impl Intents for Lab {
    async fn record(&self, intent: &Intent) -> Result<(), StepError> {
        *self.recorded.lock().expect("no test panics while it holds it") = Some(intent.clone());
        Ok(())
    }

    fn keep(&self, run: CommandRun) {
        self.state().kept.push(run);
    }

    fn forget_last(&self) {
        self.state().kept.pop();
    }

    fn kept(&self) -> Vec<CommandRun> {
        self.state().kept.clone()
    }
}

#[async_trait]
impl Outside for Lab {
    fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    async fn climb(&self, order: &PowerOrder, rung: &Rung) -> Ended {
        let words = with_host(&rung.command, order.host()).expect("a host with a plain name");
        let mut state = self.state();
        state.effects.push(format!("power {}", words.join(" ")));
        if words[0] == "/bin/false" {
            return Ended { exit: Exit::Status(1), stdout: String::new(), kept: Kept::of(b"no session") };
        }
        state.power_cycle(30);
        Ended { exit: Exit::Status(0), stdout: String::new(), kept: Kept::of(b"Chassis Power Control: Cycle") }
    }

    async fn run(&self, call: &Call) -> Ended {
        let script = self.state().executable;
        let (status, stdout) = script(&mut self.state(), call);
        Ended { exit: Exit::Status(status), stdout: stdout.clone(), kept: Kept::of(stdout.as_bytes()) }
    }

    async fn http(&self, call: &HttpCall) -> Result<JsonAnswer, String> {
        let mut state = self.state();
        if let Some((status, body)) = state.answers_of_services.pop_front() {
            return if status == 0 { Err(body) } else { Ok(JsonAnswer { status, body: body.into() }) };
        }
        let body = match (call.method, &call.body) {
            ("POST", Some(silence)) => {
                let id = state.silence(silence);
                serde_json::json!({"silenceID": id})
            }
            ("DELETE", _) => {
                let id = call.url.rsplit('/').next().unwrap_or_default().to_owned();
                state.effects.push(format!("not silenced {id}"));
                let found = state.silences.iter_mut().find(|silence| silence["id"] == id.as_str());
                found.expect("a silence that is there")["status"] = serde_json::json!({"state": "expired"});
                serde_json::Value::Null
            }
            _ => state.silences.clone().into(),
        };
        Ok(JsonAnswer { status: 200, body })
    }
}

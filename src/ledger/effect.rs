//! What an action does to a guest's processor.

/// What an action does to the boot that a guest is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// The guest begins anew, with the processor that Nova defines at that time.
    Boots,
    /// It does, or begins anew with the processor that it had: Nova records hard and soft reboots by the same word.
    MayBoot,
    /// The guest goes to another host as it is.
    Moves,
    /// Nothing: the guest goes on, ends, or waits with the processor that it has.
    Keeps,
    /// Not known.
    Unknown,
}

/// The effect of an action by Nova's word for it. Source of the words: `nova/compute/instance_actions.py`; of the effects:
/// docs/facts/libvirt.md.
pub fn effect(action: &str) -> Effect {
    match action {
        "create" | "start" | "rebuild" | "evacuate" | "migrate" | "resize" | "revertResize" | "unshelve"
        | "restore" => Effect::Boots,
        "reboot" => Effect::MayBoot,
        "live-migration" => Effect::Moves,
        "stop"
        // Nova keeps the definition from before a rescue, and takes it again.
        | "rescue"
        | "unrescue"
        | "confirmResize"
        | "pause"
        | "unpause"
        | "suspend"
        | "resume"
        | "shelve"
        | "shelveOffload"
        | "delete"
        | "forceDelete"
        | "softDelete"
        | "lock"
        | "unlock"
        | "createImage"
        | "createBackup"
        | "changePassword"
        | "trigger_crash_dump"
        | "live_migration_cancel"
        | "live_migration_force_complete"
        | "attach_interface"
        | "detach_interface"
        | "attach_volume"
        | "detach_volume"
        | "swap_volume"
        | "extend_volume"
        | "attach_share"
        | "detach_share"
        | "addFixedIp"
        | "removeFixedIp"
        | "addFloatingIp"
        | "removeFloatingIp"
        | "resetNetwork"
        | "injectNetworkInfo" => Effect::Keeps,
        _ => Effect::Unknown,
    }
}

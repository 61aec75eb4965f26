//! Tells the service manager how the process stands (systemd's `Type=notify`). Without a service manager nothing happens.

use sd_notify::NotifyState;
use tracing::warn;

/// The process serves; `status` is what `systemctl status` shows.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The process was told to stop and does so in order.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "the service manager could not be told how this process stands");
    }
}

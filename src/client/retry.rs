//! When to try again: pauses that grow, until a deadline.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::ClientError;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
pub const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Pause before attempt `attempt + 1`, counted from 0: doubles from 50 ms to one second.
pub fn pause(attempt: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << attempt.min(16)).min(LONGEST_PAUSE)
}

/// The attempts at one thing.
#[derive(Debug)]
pub struct Retry {
    deadline: Instant,
    attempt: u32,
}

impl Retry {
    pub fn new(timeout: Duration) -> Self {
        Self { deadline: Instant::now() + timeout, attempt: 0 }
    }

    /// Waits before the next attempt. Gives `error` back if it is not worth another one, or if there is no time left for one.
    pub async fn after(&mut self, error: ClientError) -> Result<(), ClientError> {
        let wait = pause(self.attempt);
        if !error.is_retriable() || Instant::now() + wait >= self.deadline {
            return Err(error);
        }
        self.attempt += 1;
        sleep(wait).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorCode;

    #[test]
    fn pauses_grow_to_a_second() {
        let pauses: Vec<u128> = (0..7).map(|attempt| pause(attempt).as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }

    #[tokio::test]
    async fn only_what_may_pass_is_tried_again_and_not_for_ever() {
        let passing = || ClientError::refused("t", ErrorCode::NotLeaderOrFollower);
        let mut retry = Retry::new(Duration::from_millis(80));
        assert!(retry.after(passing()).await.is_ok());
        assert!(retry.after(passing()).await.is_err(), "the next pause ends behind the deadline");
        let lasting = ClientError::refused("t", ErrorCode::TopicAuthorizationFailed);
        assert!(Retry::new(Duration::from_secs(9)).after(lasting).await.is_err());
    }
}

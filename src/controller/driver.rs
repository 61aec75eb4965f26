//! The task that runs the controller: claims leadership, works in rounds, and starts over when leadership is lost.
//!
//! A round takes whatever waits in the mailbox, decides it on one draft, proposes the records, and answers once they are applied. Requests
//! that come meanwhile wait for the next round: that is the group commit, one sync of the disk for all of them. The draft lives for one round
//! only, so between rounds nothing is held twice.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::Controller;
use super::activation::activation_batch;
use super::decision::ApiError;
use super::round::{Decided, Round};
use crate::base::ErrorCode;
use crate::base::time::{Clock, Mono};
use crate::config::{Overrides, Settings, TopicConfig};
use crate::metadata::{Applied, MetadataImage, RecordBatch};
use crate::quorum::{MetadataQuorum, QuorumError};

/// A request as the driver sees it: something to decide, with its response put away.
pub(super) type Submission = Box<dyn FnOnce(&mut Controller, &MetadataImage, &MetadataQuorum, Mono) -> Decided + Send>;

pub(super) struct Driver {
    pub quorum: MetadataQuorum,
    pub settings: Arc<Settings>,
    pub cluster_id: Uuid,
    pub clock: Clock,
    pub mailbox: mpsc::Receiver<Submission>,
    pub stop: oneshot::Receiver<()>,
}

/// Why a term as active controller ended.
enum End {
    /// Another node leads, or this one has to claim again.
    LeadershipLost,
    Stop,
}

impl Driver {
    /// Runs until it is stopped, or the quorum fails.
    pub async fn run(mut self) -> Result<(), QuorumError> {
        let result = loop {
            let image = tokio::select! {
                biased;
                _ = &mut self.stop => break Ok(()),
                led = self.quorum.lead() => match led {
                    Ok(image) => image,
                    Err(error) => break Err(error),
                },
            };
            let term = match self.claim(&image).await {
                Ok(true) => self.serve().await,
                Ok(false) => continue,
                Err(error) => Err(error),
            };
            match term {
                Ok(End::LeadershipLost) => tracing::info!("this node is no longer the active controller"),
                Ok(End::Stop) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = &result {
            tracing::error!(%error, "the controller has stopped");
        }
        self.quorum.shutdown().await;
        result
    }

    /// Becomes the active controller; false if another node was faster.
    async fn claim(&mut self, image: &MetadataImage) -> Result<bool, QuorumError> {
        let min_isr = TopicConfig::resolve(&self.settings, &Overrides::new()).min_insync_replicas;
        let batch = activation_batch(image, self.quorum.key().id, self.cluster_id, min_isr, self.clock.wall_ms());
        let epoch = batch.claim_epoch;
        match self.quorum.propose(batch).await {
            Ok(Applied::Ok { offset }) => {
                tracing::info!(epoch, offset, "this node is the active controller");
                Ok(true)
            }
            Ok(Applied::Fenced { .. }) | Err(QuorumError::NotLeader { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn serve(&mut self) -> Result<End, QuorumError> {
        let seed = Uuid::new_v4().as_u128();
        let mut controller = Controller::new(self.settings.clone(), seed, &self.quorum.image(), self.clock.mono());
        loop {
            self.quorum.maybe_snapshot(self.clock.mono()).await?;
            let deadline =
                self.quorum.snapshot_deadline().map_or(controller.next_deadline(), |at| at.min(controller.next_deadline()));
            let submission = tokio::select! {
                biased;
                _ = &mut self.stop => return Ok(End::Stop),
                submission = self.mailbox.recv() => match submission {
                    Some(submission) => Some(submission),
                    None => return Ok(End::Stop),
                },
                () = sleep_until(&self.clock, deadline) => None,
            };
            if !self.round(&mut controller, submission).await? {
                return Ok(End::LeadershipLost);
            }
        }
    }

    /// Decides what waits, and what is due. False if leadership was lost.
    async fn round(&mut self, controller: &mut Controller, mut submission: Option<Submission>) -> Result<bool, QuorumError> {
        let now = self.clock.mono();
        let image = self.quorum.image();
        let (epoch, seq) = (image.claim_epoch(), image.last_seq() + 1);
        let mut round = Round::new(image);
        while let Some(decide) = submission {
            let decided = decide(controller, round.draft(), &self.quorum, now);
            round.take(controller, now, decided);
            submission = if round.is_full() { None } else { self.mailbox.try_recv().ok() };
        }
        if controller.next_deadline() <= now {
            let due = controller.on_time(round.draft(), now);
            round.take(controller, now, Decided::unasked(due));
        }
        let (batches, replies) = round.finish();
        let mut replies = replies.into_iter().peekable();
        let mut release = |applied: usize| {
            while let Some((_, reply)) = replies.next_if(|(batches, _)| *batches <= applied) {
                reply(Ok(()));
            }
        };
        release(0);
        let mut outcome = Ok(true);
        for (n, records) in batches.into_iter().enumerate() {
            match self.quorum.propose(RecordBatch { claim_epoch: epoch, seq: seq + n as u64, records }).await {
                Ok(Applied::Ok { .. }) => release(n + 1),
                Ok(Applied::Fenced { .. }) | Err(QuorumError::NotLeader { .. }) => {
                    outcome = Ok(false);
                    break;
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        for (_, reply) in replies {
            reply(Err(not_controller()));
        }
        outcome
    }
}

/// What a request is answered that this controller can no longer decide.
pub(super) fn not_controller() -> ApiError {
    ApiError::new(ErrorCode::NotController, "No controller appears to be active.")
}

async fn sleep_until(clock: &Clock, deadline: Mono) {
    tokio::time::sleep_until(clock.instant_of(deadline).into()).await;
}

//! UpdateFeatures: v0–2 (`FeatureControlManager`, KIP-584, KIP-778). All updates of a request, or none.
//! v1 validate only, kinds of downgrade · v2 no results a feature

use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::update_features_response::UpdatableFeatureResult;
use kafka_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use kafka_protocol::protocol::StrBytes;

use super::Controller;
use super::configs::{MIN_INSYNC_REPLICAS, clear_elrs};
use super::decision::{ApiError, Decision, code_and_text};
use crate::base::ErrorCode;
use crate::metadata::features::supported;
use crate::metadata::{
    ConfigResource, ELIGIBLE_LEADER_REPLICAS_VERSION, METADATA_VERSION, MetadataImage, MetadataRecord, ResourceType, VersionRange,
};

/// Levels of `metadata.version` that brought records or fields (`MetadataVersion.didMetadataChange`): going below one loses what they hold.
const METADATA_CHANGED_AT: [i16; 9] = [7, 8, 11, 13, 14, 15, 17, 23, 30];

/// `FeatureUpdate.UpgradeType`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UpgradeType {
    Upgrade,
    SafeDowngrade,
    UnsafeDowngrade,
}

impl UpgradeType {
    fn of(update: &FeatureUpdateKey, version: i16) -> Option<Self> {
        match (version, update.upgrade_type) {
            (0, _) => Some(if update.allow_downgrade { Self::SafeDowngrade } else { Self::Upgrade }),
            (_, 1) => Some(Self::Upgrade),
            (_, 2) => Some(Self::SafeDowngrade),
            (_, 3) => Some(Self::UnsafeDowngrade),
            _ => None,
        }
    }
}

impl Controller {
    /// All updates of a request, or none. `version` is that of the request.
    pub fn update_features(
        &mut self,
        draft: &MetadataImage,
        request: &UpdateFeaturesRequest,
        version: i16,
    ) -> Decision<UpdateFeaturesResponse> {
        let mut records = Vec::new();
        let outcome =
            request.feature_updates.iter().try_for_each(|update| self.update_feature(draft, update, version, &mut records));
        if outcome.is_err() || request.validate_only {
            records.clear();
        }
        let (code, text) = code_and_text(&outcome);
        let text = text.map(|text| {
            let message = format!("The update failed for all features since the following feature had an error: {}", &*text);
            StrBytes::from_string(message)
        });
        let mut response = UpdateFeaturesResponse::default().with_error_code(code).with_error_message(text);
        if outcome.is_ok() && version <= 1 {
            let result = |update: &FeatureUpdateKey| {
                UpdatableFeatureResult::default().with_feature(update.feature.clone()).with_error_message(None)
            };
            response = response.with_results(request.feature_updates.iter().map(result).collect());
        }
        Decision::atomic(records, response)
    }

    fn update_feature(
        &self,
        draft: &MetadataImage,
        update: &FeatureUpdateKey,
        version: i16,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<(), ApiError> {
        let (name, level) = (&*update.feature, update.max_version_level);
        let refuse = |why: &str| {
            let message = format!("Invalid update version {level} for feature {name}. {why}");
            Err(ApiError::new(ErrorCode::InvalidUpdateVersion, message))
        };
        let Some(upgrade_type) = UpgradeType::of(update, version) else {
            return refuse("The controller does not support the given upgrade type.");
        };
        let present = draft.feature_level(name);
        if level < 0 {
            return refuse("A feature version cannot be less than 0.");
        }
        if let Some(reason) = self.reason_not_supported(draft, name, level) {
            return refuse(&reason);
        }
        if level < present && upgrade_type == UpgradeType::Upgrade {
            return refuse(
                "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
            );
        }
        if level > present && upgrade_type != UpgradeType::Upgrade {
            return refuse("Can't downgrade to a newer version.");
        }
        match name {
            METADATA_VERSION => check_metadata_version(present, level, upgrade_type)?,
            ELIGIBLE_LEADER_REPLICAS_VERSION if level != present => self.switch_elr(draft, level, records),
            _ => {}
        }
        records.push(MetadataRecord::FeatureLevel { name: name.into(), level });
        Ok(())
    }

    fn reason_not_supported(&self, draft: &MetadataImage, name: &str, level: i16) -> Option<String> {
        let brokers = draft
            .brokers()
            .values()
            .map(|b| (format!("Broker {}", b.id), b.features.get(name).copied().unwrap_or(VersionRange::DISABLED)));
        let (who, range) = std::iter::once((format!("Local controller {}", self.node_id), supported(name)))
            .chain(brokers)
            .find(|(_, range)| !range.contains(level))?;
        Some(match range {
            VersionRange { max: 0, .. } => format!("{who} does not support this feature."),
            VersionRange { min, max } if min == max => format!("{who} only supports versions {min}"),
            VersionRange { min, max } => format!("{who} only supports versions {min}-{max}"),
        })
    }

    /// With ELR there is one `min.insync.replicas` for all brokers; ELRs of the time before or after mean nothing.
    fn switch_elr(&self, draft: &MetadataImage, level: i16, records: &mut Vec<MetadataRecord>) {
        if level > 0 {
            let set = |name: &str, value: Option<String>| MetadataRecord::Config {
                resource: ConfigResource::new(ResourceType::Broker, name),
                key: MIN_INSYNC_REPLICAS.into(),
                value: value.map(Into::into),
            };
            let of_brokers =
                draft.configs().of_type(ResourceType::Broker).filter(|(_, map)| map.contains_key(MIN_INSYNC_REPLICAS));
            records.extend(of_brokers.filter(|(name, _)| !name.is_empty()).map(|(name, _)| set(name, None)));
            if !draft.configs().get(ResourceType::Broker, "").contains_key(MIN_INSYNC_REPLICAS) {
                records.push(set("", Some(self.topic_defaults.min_insync_replicas.to_string())));
            }
        }
        clear_elrs(draft.topics().iter_by_id().map(|t| &**t), records);
    }
}

fn check_metadata_version(present: i16, level: i16, upgrade_type: UpgradeType) -> Result<(), ApiError> {
    let loses = METADATA_CHANGED_AT.iter().any(|changed| level < *changed && *changed <= present);
    let refuse = |why: &str| {
        let message = format!("Invalid metadata.version {level}. {why}");
        Err(ApiError::new(ErrorCode::InvalidUpdateVersion, message))
    };
    match (loses, upgrade_type) {
        (false, _) => Ok(()),
        (true, UpgradeType::UnsafeDowngrade) => refuse("Unsafe metadata downgrade is not supported in this version."),
        (true, _) => refuse("Refusing to perform the requested downgrade because it might delete metadata information."),
    }
}

#[cfg(test)]
mod tests;

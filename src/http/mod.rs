//! HTTP beside the wire: metrics and health.

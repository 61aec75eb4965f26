//! The body of a RegisterBroker record: identity, endpoints, features, rack, log directories; flags are tagged.

use crate::metadata::broker::{BrokerRegistration, Endpoint, VersionRange};
use crate::metadata::wire::{DecodeError, Reader, Writer};

mod tag {
    pub const FENCED: u64 = 0;
    pub const IN_CONTROLLED_SHUTDOWN: u64 = 1;
    /// Only in snapshots: in the log it is the offset of the record itself.
    pub const REGISTERED_AT: u64 = 2;
}

pub fn write_broker(w: &mut Writer<'_>, broker: &BrokerRegistration) {
    w.i64(i64::from(broker.id));
    w.i64(broker.epoch);
    w.uuid(broker.incarnation_id);
    w.list(&broker.endpoints, |w, e| {
        w.str(&e.name);
        w.str(&e.host);
        w.uvarint(u64::from(e.port));
        w.i64(i64::from(e.security_protocol));
    });
    w.uvarint(broker.features.len() as u64);
    for (name, range) in &broker.features {
        w.str(name);
        w.i64(i64::from(range.min));
        w.i64(i64::from(range.max));
    }
    w.option(broker.rack.as_deref(), Writer::str);
    w.list(&broker.log_dirs, |w, dir| w.uuid(*dir));
    w.tagged(&[
        (tag::FENCED, broker.fenced, &|_| ()),
        (tag::IN_CONTROLLED_SHUTDOWN, broker.in_controlled_shutdown, &|_| ()),
        (tag::REGISTERED_AT, broker.registered_at >= 0, &|w| w.i64(broker.registered_at)),
    ]);
}

pub fn read_broker(r: &mut Reader<'_>) -> Result<BrokerRegistration, DecodeError> {
    let mut broker = BrokerRegistration {
        id: r.i32()?,
        epoch: r.i64()?,
        incarnation_id: r.uuid()?,
        endpoints: r.list(4, |r| {
            Ok(Endpoint {
                name: r.text()?,
                host: r.text()?,
                port: u16::try_from(r.uvarint()?).map_err(|_| DecodeError::OutOfRange)?,
                security_protocol: r.i16()?,
            })
        })?,
        features: r.list(3, |r| Ok((r.text()?, VersionRange { min: r.i16()?, max: r.i16()? })))?,
        rack: r.option(Reader::text)?,
        log_dirs: r.list(16, Reader::uuid)?,
        fenced: false,
        in_controlled_shutdown: false,
        registered_at: -1,
    };
    r.tagged(|tag, field| {
        match tag {
            tag::FENCED => broker.fenced = true,
            tag::IN_CONTROLLED_SHUTDOWN => broker.in_controlled_shutdown = true,
            tag::REGISTERED_AT => broker.registered_at = field.i64()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(broker)
}

//! The bodies of Partition and PartitionChange records. What is rarely set is tagged, and so is everything in a change.

use crate::metadata::partition::{Directories, PartitionChange, PartitionRegistration, Replicas};
use crate::metadata::wire::{DecodeError, Reader, Writer};

fn write_replicas(w: &mut Writer<'_>, replicas: &[i32]) {
    w.list(replicas, |w, id| w.i64(i64::from(*id)));
}

fn read_replicas(r: &mut Reader<'_>) -> Result<Replicas, DecodeError> {
    r.list(1, Reader::i32)
}

mod tag {
    pub const RECOVERING: u64 = 0;
    pub const ELR: u64 = 1;
    pub const LAST_KNOWN_ELR: u64 = 2;
    pub const ADDING: u64 = 3;
    pub const REMOVING: u64 = 4;
    pub const ISR: u64 = 5;
    pub const LEADER: u64 = 6;
    pub const REPLICAS: u64 = 7;
    pub const DIRECTORIES: u64 = 8;
}

pub fn write_partition(w: &mut Writer<'_>, p: &PartitionRegistration) {
    write_replicas(w, &p.replicas);
    w.list(&p.directories, |w, dir| w.uuid(*dir));
    write_replicas(w, &p.isr);
    w.i64(i64::from(p.leader));
    w.i64(i64::from(p.leader_epoch));
    w.i64(i64::from(p.partition_epoch));
    w.tagged(&[
        (tag::RECOVERING, p.recovering, &|w| w.bool(true)),
        (tag::ELR, !p.elr().is_empty(), &|w| write_replicas(w, p.elr())),
        (tag::LAST_KNOWN_ELR, !p.last_known_elr().is_empty(), &|w| write_replicas(w, p.last_known_elr())),
        (tag::ADDING, !p.adding().is_empty(), &|w| write_replicas(w, p.adding())),
        (tag::REMOVING, !p.removing().is_empty(), &|w| write_replicas(w, p.removing())),
    ]);
}

pub fn read_partition(r: &mut Reader<'_>) -> Result<PartitionRegistration, DecodeError> {
    let replicas = read_replicas(r)?;
    let directories: Directories = r.list(16, Reader::uuid)?;
    let isr = read_replicas(r)?;
    if replicas.len() != directories.len() {
        return Err(DecodeError::OutOfRange);
    }
    let mut p = PartitionRegistration::new(replicas, directories, isr);
    (p.leader, p.leader_epoch, p.partition_epoch) = (r.i32()?, r.i32()?, r.i32()?);
    let (mut elr, mut last_known_elr, mut adding, mut removing) = Default::default();
    let mut recovering = false;
    r.tagged(|tag, field| {
        match tag {
            tag::RECOVERING => recovering = field.bool()?,
            tag::ELR => elr = read_replicas(field)?,
            tag::LAST_KNOWN_ELR => last_known_elr = read_replicas(field)?,
            tag::ADDING => adding = read_replicas(field)?,
            tag::REMOVING => removing = read_replicas(field)?,
            _ => {}
        }
        Ok(())
    })?;
    p.recovering = recovering;
    p.set_rare(elr, last_known_elr, adding, removing);
    Ok(p)
}

pub fn write_partition_change(w: &mut Writer<'_>, c: &PartitionChange) {
    let replicas = |field: &Option<Replicas>| {
        let field = field.clone();
        move |w: &mut Writer<'_>| write_replicas(w, field.as_deref().unwrap_or_default())
    };
    w.uuid(c.topic_id);
    w.i64(i64::from(c.partition));
    w.tagged(&[
        (tag::RECOVERING, c.recovering.is_some(), &|w| w.bool(c.recovering == Some(true))),
        (tag::ELR, c.elr.is_some(), &replicas(&c.elr)),
        (tag::LAST_KNOWN_ELR, c.last_known_elr.is_some(), &replicas(&c.last_known_elr)),
        (tag::ADDING, c.adding.is_some(), &replicas(&c.adding)),
        (tag::REMOVING, c.removing.is_some(), &replicas(&c.removing)),
        (tag::ISR, c.isr.is_some(), &replicas(&c.isr)),
        (tag::LEADER, c.leader.is_some(), &|w| w.i64(c.leader.map_or(-1, i64::from))),
        (tag::REPLICAS, c.replicas.is_some(), &replicas(&c.replicas)),
        (tag::DIRECTORIES, c.directories.is_some(), &|w| {
            w.list(c.directories.as_deref().unwrap_or_default(), |w, dir| w.uuid(*dir));
        }),
    ]);
}

pub fn read_partition_change(r: &mut Reader<'_>) -> Result<PartitionChange, DecodeError> {
    let mut c = PartitionChange { topic_id: r.uuid()?, partition: r.i32()?, ..Default::default() };
    r.tagged(|tag, field| {
        match tag {
            tag::RECOVERING => c.recovering = Some(field.bool()?),
            tag::ELR => c.elr = Some(read_replicas(field)?),
            tag::LAST_KNOWN_ELR => c.last_known_elr = Some(read_replicas(field)?),
            tag::ADDING => c.adding = Some(read_replicas(field)?),
            tag::REMOVING => c.removing = Some(read_replicas(field)?),
            tag::ISR => c.isr = Some(read_replicas(field)?),
            tag::LEADER => c.leader = Some(field.i32()?),
            tag::REPLICAS => c.replicas = Some(read_replicas(field)?),
            tag::DIRECTORIES => c.directories = Some(field.list(16, Reader::uuid)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(c)
}

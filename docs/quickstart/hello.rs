//! Writes ten records and reads them back. `hello [HOST:PORT]`

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9092".into());
    let config = |more: &[(&str, &str)]| {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &broker);
        for (key, value) in more {
            config.set(*key, *value);
        }
        config
    };

    let producer: BaseProducer = config(&[("enable.idempotence", "true")]).create()?;
    for n in 0..10 {
        let (key, value) = (n.to_string(), format!("hello {n}"));
        producer.send(BaseRecord::to("from-rust").key(&key).payload(&value)).map_err(|(error, _)| error)?;
    }
    producer.flush(Duration::from_secs(30))?;

    let consumer: BaseConsumer = config(&[("group.id", "readers"), ("auto.offset.reset", "earliest")]).create()?;
    consumer.subscribe(&["from-rust"])?;
    for message in consumer.iter().take(10) {
        let message = message?;
        println!("{}: {}", message.offset(), message.payload_view::<str>().ok_or("no value")??);
    }
    Ok(())
}

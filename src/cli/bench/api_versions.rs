//! `bench api-versions`: the cheapest request there is, so what a request costs before it does anything.

use clap::Args;

use super::error::Result;
use super::exchange::ApiVersionsExchange;
use super::figure::Figure;
use super::frame;
use super::load::{self, DEPTH, Seat, Tempo};
use super::options::{Broker, Common, rate};
use super::run::{Workload, plural};

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  klamm bench api-versions --connections 4
  klamm bench api-versions --connections 1 --depth 1 --rate 1000")]
pub struct ApiVersions {
    /// Connections
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub connections: u16,
    /// Requests that may wait for their answer on each connection
    #[arg(long, default_value_t = DEPTH as u16, value_parser = clap::value_parser!(u16).range(1..))]
    pub depth: u16,
    /// Requests a second over all connections [default: as many as the broker answers]
    #[arg(long, value_parser = rate)]
    pub rate: Option<f64>,
}

impl Workload for ApiVersions {
    fn title(&self) -> String {
        format!("ApiVersions: {}, depth {}", plural(self.connections.into(), "connection"), self.depth)
    }

    fn measure(&self, broker: &Broker, common: &Common) -> Result<Figure> {
        let (lanes, threads) = (usize::from(self.connections), usize::from(common.threads));
        load::measure(broker, common, &[""], |thread| {
            let open = |lane| {
                let tempo = self.rate.map_or(Tempo::Closed, |rate| Tempo::Rate { rate, lane, lanes });
                let exchange = ApiVersionsExchange { template: frame::api_versions() };
                Seat::open(&broker.address, usize::from(self.depth), exchange, tempo, 0)
            };
            (0..lanes).filter(|lane| lane % threads == thread).map(open).collect()
        })
    }
}

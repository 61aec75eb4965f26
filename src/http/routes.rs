//! What is answered to which request.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::Semaphore;

use super::health::Readiness;
use crate::base::time::Clock;
use crate::metrics::{Exporter, Format};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

const INDEX: &str = "<!doctype html><html lang=\"en\"><title>klamm</title><h1>klamm</h1><ul>\
<li><a href=\"/metrics\">metrics</a>, for Prometheus\
<li><a href=\"/healthz\">healthz</a>: the process lives\
<li><a href=\"/readyz\">readyz</a>: the broker serves\
</ul></html>\n";

/// Answers below this are sent as they are, whatever the client accepts.
const WORTH_COMPRESSING: usize = 1024;

/// What the routes tell about.
pub struct App {
    exporter: Exporter,
    clock: Clock,
    readiness: Box<dyn Fn() -> Readiness + Send + Sync>,
    /// Scrapes of a broker with many partitions are work; they are done one after the other.
    scrape: Semaphore,
}

impl App {
    /// `readiness` is asked at each request to `/readyz` and must not block.
    pub fn new(exporter: Exporter, clock: Clock, readiness: impl Fn() -> Readiness + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(App { exporter, clock, readiness: Box::new(readiness), scrape: Semaphore::new(1) })
    }

    /// Answers one request. Its body, if it has one, is not read.
    pub(super) async fn answer<B>(self: Arc<Self>, request: Request<B>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match request.uri().path() {
            "/" => respond(StatusCode::OK, HTML, INDEX),
            "/metrics" => self.metrics(request.headers()).await,
            "/healthz" if wants_json(request.headers()) => respond(StatusCode::OK, JSON, r#"{"alive":true}"#),
            "/healthz" => respond(StatusCode::OK, TEXT, "alive\n"),
            "/readyz" => {
                let readiness = (self.readiness)();
                let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                if wants_json(request.headers()) {
                    respond(status, JSON, readiness.json())
                } else {
                    respond(status, TEXT, readiness.text())
                }
            }
            _ => respond(StatusCode::NOT_FOUND, TEXT, "not found; there are /metrics, /healthz and /readyz\n"),
        }
    }

    async fn metrics(self: Arc<Self>, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let format = Format::of_accept(text_of(headers, header::ACCEPT));
        let gzip = accepts_gzip(text_of(headers, header::ACCEPT_ENCODING));
        let app = self.clone();
        let _turn = self.scrape.acquire().await;
        // Gathering may take milliseconds, which no connection of a client should wait for.
        let rendered = tokio::task::spawn_blocking(move || {
            let text = app.exporter.render(app.clock.mono(), format);
            if gzip && text.len() >= WORTH_COMPRESSING { compressed(&text).map_err(|_| text) } else { Err(text) }
        });
        match rendered.await {
            Ok(Ok(compressed)) => {
                let mut response = respond(StatusCode::OK, format.content_type(), compressed);
                response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                response
            }
            Ok(Err(text)) => respond(StatusCode::OK, format.content_type(), text),
            Err(_) => respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "gathering the metrics failed; the log says why\n"),
        }
    }
}

fn respond(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn compressed(text: &str) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

fn wants_json(headers: &HeaderMap) -> bool {
    text_of(headers, header::ACCEPT).contains(JSON)
}

/// Whether `gzip` is among the codings, and not with the weight 0 (RFC 9110, 12.5.3).
fn accepts_gzip(accept_encoding: &str) -> bool {
    accept_encoding.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let refused = weight.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()) == Some(0.0);
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

fn text_of(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_where_it_is_welcome() {
        for (accept_encoding, welcome) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("identity;q=1, GZIP", true),
            ("gzip;q=0", false),
            ("", false),
            ("deflate", false),
        ] {
            assert_eq!(accepts_gzip(accept_encoding), welcome, "{accept_encoding}");
        }
    }
}

//! Sessions of a web server (axum, tower-sessions) in a map whose entries expire.
//!
//!     cargo run --release --example session_store
//!
//! It starts a server, is its own client, and ends. What you want is `store.rs`.

mod store;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_sessions::cookie::time;
use tower_sessions::{Expiry, Session, SessionManagerLayer};
use ttlwheel::ManualClock;

use store::TtlStore;

/// How long after its last change a session ends.
const SESSION_MINUTES: i64 = 30;

/// Counts the visits of a session.
async fn visit(session: Session) -> Result<String, StatusCode> {
    let failed = |_| StatusCode::INTERNAL_SERVER_ERROR;
    let visits = session.get::<u32>("visits").await.map_err(failed)?.unwrap_or(0) + 1;
    session.insert("visits", visits).await.map_err(failed)?;
    Ok(format!("visit {visits}"))
}

async fn log_out(session: Session) -> Result<&'static str, StatusCode> {
    session.flush().await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok("bye")
}

fn app(store: TtlStore) -> Router {
    let sessions = SessionManagerLayer::new(store)
        // For this example alone, which has no TLS.
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(time::Duration::minutes(SESSION_MINUTES)));
    Router::new().route("/", get(visit)).route("/logout", post(log_out)).layer(sessions)
}

/// A browser: it keeps the cookie that it is given.
struct Browser {
    server: std::net::SocketAddr,
    cookie: Option<String>,
}

impl Browser {
    /// Sends a request, by a connection of its own; returns the body of the answer.
    async fn send(&mut self, request: &str) -> io::Result<String> {
        let mut connection = TcpStream::connect(self.server).await?;
        let cookie = self.cookie.as_ref().map_or(String::new(), |cookie| format!("Cookie: {cookie}\r\n"));
        let request = format!("{request} HTTP/1.1\r\nHost: {}\r\n{cookie}Connection: close\r\n\r\n", self.server);
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let set = head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        if let Some((cookie, _)) = set.and_then(|set| set.split_once(';')) {
            self.cookie = Some(cookie.to_string());
        }
        Ok(body.to_string())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    // Yours would be `TtlStore::new(Clock::default())`; this one can be moved past the end of a session.
    let clock = ManualClock::new();
    let store = TtlStore::new(&clock);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, app(store.clone())).into_future());

    let mut alice = Browser { server, cookie: None };
    let mut bob = Browser { server, cookie: None };
    assert_eq!(alice.send("GET /").await?, "visit 1");
    assert_eq!(alice.send("GET /").await?, "visit 2");
    assert_eq!(bob.send("GET /").await?, "visit 1");
    assert_eq!(store.len(), 2);

    // Alice is busy, and her session lasts on; Bob's doesn't.
    let half = std::time::Duration::from_secs(SESSION_MINUTES as u64 * 60 / 2);
    clock.advance(half);
    assert_eq!(alice.send("GET /").await?, "visit 3");
    clock.advance(half);
    assert_eq!(store.len(), 1);
    assert_eq!(alice.send("GET /").await?, "visit 4");
    assert_eq!(bob.send("GET /").await?, "visit 1", "a new session");

    let stolen = Browser { server, cookie: alice.cookie.clone() };
    assert_eq!(alice.send("POST /logout").await?, "bye");
    assert_eq!(store.len(), 1);
    for mut browser in [alice, stolen] {
        assert_eq!(browser.send("GET /").await?, "visit 1", "the old cookie is good for nothing");
    }
    assert_eq!(bob.send("GET /").await?, "visit 2");
    assert_eq!(store.len(), 3);
    clock.advance(half * 2);
    println!("{} sessions are left", store.len());
    assert_eq!(store.len(), 0, "all have ended, also what was changed");
    Ok(())
}

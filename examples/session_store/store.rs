//! The store: what `tower-sessions` asks of one, answered by a map.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tower_sessions::cookie::time::OffsetDateTime;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Result, SessionStore};
use ttlwheel::{Clock, TtlMap};

/// Keeps sessions in memory. Clones share them.
///
/// Expired sessions read as absent, to the nanosecond, and leave memory by and by, as others are saved.
#[derive(Clone, Debug)]
pub struct TtlStore {
    sessions: Arc<TtlMap<Id, Record>>,
}

impl TtlStore {
    pub fn new(clock: impl Into<Clock>) -> Self {
        // No time to live for all: each record brings its own.
        TtlStore { sessions: Arc::new(TtlMap::builder().clock(clock).build()) }
    }

    /// How many sessions have not expired.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }
}

/// How long a session will be good; nothing if its time is over.
fn left(record: &Record) -> Duration {
    (record.expiry_date - OffsetDateTime::now_utc()).try_into().unwrap_or(Duration::ZERO)
}

// No guard of the map is held over an await, and there is nothing to wait for.
#[async_trait]
impl SessionStore for TtlStore {
    /// Saves a new session; if its id is taken, under another.
    async fn create(&self, record: &mut Record) -> Result<()> {
        while self.sessions.try_insert_with_ttl(record.id, record.clone(), left(record)).is_err() {
            record.id = Id::default();
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> Result<()> {
        self.sessions.insert_with_ttl(record.id, record.clone(), left(record));
        Ok(())
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        Ok(self.sessions.get_cloned(id))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.sessions.remove(id);
        Ok(())
    }
}

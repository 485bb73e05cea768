//! Request de-duplication: many clients ask for the same few reports at once, and each report is made once.
//!
//!     cargo run --release --example dedup

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use ttlwheel::TtlMap;

const CLIENTS: usize = 16;
const REPORTS: usize = 4;

/// What takes long, and should not be done twice at a time.
struct Reports {
    made: AtomicUsize,
    recent: TtlMap<usize, String>,
}

impl Reports {
    fn new() -> Self {
        Reports { made: AtomicUsize::new(0), recent: TtlMap::new(Duration::from_secs(60)) }
    }

    fn make(&self, number: usize) -> Result<String, String> {
        if number >= REPORTS {
            return Err(format!("there is no report {number}"));
        }
        self.made.fetch_add(1, Relaxed);
        // Stands for a slow query.
        thread::sleep(Duration::from_millis(50));
        Ok(format!("report {number}"))
    }

    /// A request: from what is recent, from whoever is making it right now, or made here.
    fn request(&self, number: usize) -> Result<String, String> {
        self.recent.try_get_or_insert_with(number, || self.make(number)).map(|report| report.clone())
    }
}

fn main() {
    let reports = Reports::new();
    let start = Barrier::new(CLIENTS);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (reports, start) = (&reports, &start);
            scope.spawn(move || {
                let number = client % REPORTS;
                start.wait();
                assert_eq!(reports.request(number), Ok(format!("report {number}")));
            });
        }
    });
    assert_eq!(reports.request(REPORTS), Err("there is no report 4".to_string()), "an error is kept for nobody");
    let made = reports.made.load(Relaxed);
    println!("{CLIENTS} clients asked for {REPORTS} reports; {made} were made");
    assert_eq!(made, REPORTS);
}

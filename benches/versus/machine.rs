//! What it was measured on, without names of hosts, users or folders.

use std::process::Command;

use crate::common::{Words, peers};

/// Processor, system, compiler and the versions of the peers.
pub fn surroundings() -> String {
    let mut parts = vec![cpu(), system()];
    parts.extend(rustc());
    let mut packages: Vec<_> = peers::all::<Words>().iter().map(|peer| peer.package).collect();
    packages.push("foldhash");
    packages.dedup();
    packages.retain(|&package| package != "std");
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
    let lock = std::fs::read_to_string(lock).unwrap_or_default();
    let versions = packages.into_iter().map(|package| {
        let version = version(&lock, package).unwrap_or("of unknown version");
        format!("{package} {version}")
    });
    parts.extend(versions);
    parts.join(", ")
}

/// Processor time spent so far, in ticks of the kernel: of all programs, of this one with its ended children, and of
/// an idle machine.
#[derive(Clone, Copy)]
struct Spent {
    all: u64,
    own: u64,
    idle: u64,
}

impl Spent {
    fn now() -> Option<Self> {
        let numbers = |text: &str| text.split_whitespace().map_while(|field| field.parse().ok()).collect::<Vec<u64>>();
        let machine = std::fs::read_to_string("/proc/stat").ok()?;
        let machine = numbers(machine.lines().next()?.strip_prefix("cpu")?);
        let own = std::fs::read_to_string("/proc/self/stat").ok()?;
        // After the name: state and ten more, then user and system time, of itself and of its children.
        let own: Vec<_> = own.rsplit_once(')')?.1.split_whitespace().skip(11).take(4).map(str::to_owned).collect();
        let own = numbers(&own.join(" ")).iter().sum();
        let [user, nice, system, idle, wait, irq, softirq, ..] = machine[..] else { return None };
        Some(Spent { all: user + nice + system + irq + softirq, own, idle: idle + wait })
    }
}

/// Notes how busy other programs keep the machine.
pub struct Neighbours(Option<Spent>);

impl Neighbours {
    pub fn watch() -> Self {
        Neighbours(Spent::now())
    }

    /// What they took since, in words.
    pub fn told(&self) -> String {
        let (Some(then), Some(now)) = (self.0, Spent::now()) else { return String::new() };
        let (all, own) = (now.all - then.all, now.own - then.own);
        let share = 100.0 * all.saturating_sub(own) as f64 / (all + now.idle - then.idle).max(1) as f64;
        format!("Other programs took {share:.0} % of the processors' time meanwhile.")
    }
}

/// The arguments of this run, as one gives them to cargo.
pub fn command() -> String {
    let args: Vec<_> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let quoted = args.iter().map(|arg| if arg.contains(' ') { format!("'{arg}'") } else { arg.clone() });
    let dashes = if args.is_empty() { "" } else { " -- " };
    format!("cargo bench --bench versus{dashes}{}", quoted.collect::<Vec<_>>().join(" "))
}

fn version<'l>(lock: &'l str, package: &str) -> Option<&'l str> {
    // The newest: a peer may bring an old version of another along.
    let after = lock.split(&format!("name = \"{package}\"\nversion = \"")).skip(1).last()?;
    after.split('"').next()
}

fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |wanted: &str| {
        info.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == wanted).then(|| value.trim().to_owned())
        })
    };
    let cores = std::thread::available_parallelism().map_or(0, |cores| cores.get());
    let model = field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let number = field("model").map_or(String::new(), |number| format!(" model {number}"));
    let seen = field("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    let kind = if seen { ", virtual" } else { "" };
    format!("{model}{number} ({cores} cores seen{kind})")
}

/// The system and its main version.
fn system() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version: Vec<_> = release.split(['.', '-']).take(2).collect();
    let pages = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    let pages =
        pages.split(['[', ']']).nth(1).map_or(String::new(), |mode| format!(", transparent huge pages: {mode}"));
    format!("{} {}{pages}", std::env::consts::OS, version.join(".").trim())
}

fn rustc() -> Option<String> {
    let output = Command::new("rustc").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.split(" (").next()?.trim();
    (!version.is_empty()).then(|| version.to_owned())
}

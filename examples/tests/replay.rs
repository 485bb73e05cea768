//! The main job, run for real: `examples/replay` as a process, on the traces that users have.
//!
//! `cargo test` builds the examples before it runs this; `cargo test --test replay` alone does not, and says so.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::SystemTime;

use serde_json::Value;

const COUNTS: [&str; 8] = ["gets", "hits", "misses", "inserts", "replaced_live", "lapsed", "removed", "live_at_end"];

/// The example, which stands beside this test's own directory: `target/<profile>/{deps,examples}`.
static EXAMPLE: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = env::current_exe().expect("this test has a path");
    let profile = test.parent().and_then(Path::parent).expect("target/<profile>/deps");
    let example = profile.join("examples").join(format!("replay{}", env::consts::EXE_SUFFIX));
    let sources = fs::read_to_string(example.with_extension("d")).unwrap_or_default();
    let changed = sources.split_whitespace().skip(1).map(|source| modified(source.as_ref())).max().flatten();
    assert!(
        modified(&example).is_some_and(|built| Some(built) >= changed),
        "{} is missing or out of date: build the examples first",
        example.display()
    );
    example
});

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|file| file.modified()).ok()
}

fn replay() -> Command {
    Command::new(&*EXAMPLE)
}

fn run(args: &[&str]) -> Output {
    replay().args(args).output().expect("the example starts")
}

/// A file of the environment that the project is developed in; nothing where that is absent.
fn shared(path: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(path);
    if path.exists() {
        return Some(path.display().to_string());
    }
    eprintln!("skipped: there is no {}", path.display());
    None
}

/// A file of this test's own, by a name that no other test uses.
fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn write(name: &str, text: impl AsRef<[u8]>) -> String {
    let path = scratch(name);
    fs::write(&path, text).expect("the scratch directory is writable");
    path.display().to_string()
}

/// Runs to the end and reads the one JSON object.
fn json(args: &[&str]) -> Value {
    let output = run(&[args, &["--json"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    assert_eq!(stderr, "", "{args:?}: no progress bar where no terminal is");
    serde_json::from_slice(&output.stdout).expect("exactly one JSON object")
}

fn counts(args: &[&str]) -> [u64; 8] {
    let report = json(args);
    COUNTS.map(|name| report[name].as_u64().unwrap_or_else(|| panic!("no {name} in {report}")))
}

fn counts_add_up([gets, hits, misses, inserts, replaced_live, lapsed, removed, live_at_end]: [u64; 8]) {
    assert_eq!(gets, hits + misses);
    assert_eq!(inserts, replaced_live + lapsed + removed + live_at_end);
}

/// Runs into an error and gives its message: exit code 1, nothing half-reported.
fn error(args: &[&str]) -> String {
    let output = run(args);
    let stderr = String::from_utf8(output.stderr).expect("messages are UTF-8");
    assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
    assert_eq!(output.stdout, b"", "{args:?}");
    assert!(stderr.starts_with("error: "), "{args:?}: {stderr}");
    stderr
}

/// The error for a trace, which must name the file, the line and the reason.
fn trace_error(name: &str, text: impl AsRef<[u8]>, line: u32, reason: &str) {
    let path = write(name, text);
    let svg = scratch(&format!("{name}.svg"));
    let message = error(&["--trace", &path, "--svg", &svg.display().to_string()]);
    assert!(message.contains(&format!("{path}:{line}: ")), "{message}");
    assert!(message.contains(reason), "{message}");
    assert!(!svg.exists(), "nothing is drawn of a malformed trace");
}

// ---- the counts

#[test]
fn cloudphysics_counts_are_reproduced_by_any_number_of_threads() {
    let Some(trace) = shared("traces/cloudphysics.csv") else { return };
    for (ttl, hits, inserts, replaced_live, lapsed, live_at_end) in [
        ("1s", 521, 113_351, 3_499, 109_850, 2),
        ("30s", 10_914, 102_958, 15_770, 87_084, 104),
        ("300s", 17_941, 95_931, 23_769, 71_774, 388),
        ("1800s", 17_951, 95_921, 24_122, 39_517, 32_282),
    ] {
        let expected = [46_974, hits, 46_974 - hits, inserts, replaced_live, lapsed, 0, live_at_end];
        for threads in ["1", "2", "4"] {
            let found = counts(&["--trace", &trace, "--ttl", ttl, "--threads", threads]);
            assert_eq!(found, expected, "{COUNTS:?} with --ttl {ttl} --threads {threads}");
        }
    }
}

#[test]
fn carried_trace_gives_the_same_counts_on_any_number_of_threads() {
    let one = counts(&[]);
    counts_add_up(one);
    assert!(one.iter().all(|&count| count > 0), "the carried trace shows every way to end: {one:?}");
    assert_eq!(counts(&["--threads", "2"]), one);
    assert_eq!(counts(&["--threads", "4"]), one);
}

#[test]
fn extremes_of_ttl_are_durations_like_any_other() {
    let text = "version,time,op,size,lbn\n1,0,2a,512,7\n1,0,28,512,7\n1,9,28,512,7\n1,15000000000,28,512,7\n";
    let trace = write("ttl-extremes.csv", text);
    let hits = |ttl| {
        let found = counts(&["--trace", &trace, "--ttl", ttl]);
        counts_add_up(found);
        found[1]
    };
    assert_eq!(hits("0s"), 0);
    assert_eq!(hits("9s"), 1, "an entry is dead at its deadline");
    assert_eq!(hits("9s 1ns"), 2);
    assert_eq!(hits("never"), 3);
    assert_eq!(hits("18446744073709551615s"), 3, "longer than any clock runs");
}

#[test]
fn each_twemcache_operation_does_its_part() {
    let text = "\
100,a,1,10,0,get,0
100,a,1,10,0,gets,0
100,b,1,10,0,replace,0
100,b,1,10,0,add,5
100,b,1,20,0,add,50
100,b,1,30,0,append,5
100,c,1,10,0,set,0
100,c,1,10,0,delete,0
100,c,1,10,0,delete,0
105,b,1,10,0,cas,9
105,b,1,10,0,incr,0
105,b,1,10,0,decr,0
400,a,1,10,0,prepend,0
400,d,1,10,0,set,0
99999999,d,1,10,0,get,0
";
    let trace = write("each-operation.csv", text);
    // Misses: a, then b at its deadline (105), each of which the read inserts. Inserts: those, and add, append,
    // set c, set d. Replaced live: b by append. Lapsed: b's append at 105, b's read-through, a's at 400.
    let expected = [5, 3, 2, 6, 1, 3, 1, 1];
    for threads in ["1", "3"] {
        assert_eq!(counts(&["--trace", &trace, "--threads", threads]), expected, "{COUNTS:?}");
    }
}

#[test]
fn time_that_goes_back_stands_still() {
    let header = "version,time,op,size,lbn\n";
    let back =
        write("time-goes-back.csv", format!("{header}1,10,2a,512,1\n1,15,2a,512,2\n1,3,28,512,1\n1,20,28,512,1\n"));
    let still =
        write("time-stands.csv", format!("{header}1,10,2a,512,1\n1,15,2a,512,2\n1,15,28,512,1\n1,20,28,512,1\n"));
    assert_eq!(counts(&["--trace", &back, "--ttl", "8s"]), counts(&["--trace", &still, "--ttl", "8s"]));
}

#[test]
fn header_alone_is_a_trace_of_nothing() {
    let trace = write("header-alone.csv", "version,time,op,size,lbn\n");
    assert_eq!(counts(&["--trace", &trace, "--threads", "2"]), [0; 8]);
}

// ---- what is shown

#[test]
fn table_and_picture_show_what_the_json_says() {
    let svg = scratch("shown.svg");
    let output = run(&["--svg", &svg.display().to_string()]);
    assert!(output.status.success());
    let table = String::from_utf8(output.stdout).expect("the table is UTF-8");
    for (name, count) in COUNTS.into_iter().zip(counts(&[])) {
        let shown = table.lines().any(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.contains(&name) && words.contains(&count.to_string().as_str())
        });
        assert!(shown, "no {name} of {count} in\n{table}");
    }
    assert!(table.contains("operations a second") && table.contains("bytes an entry"), "{table}");

    let svg = fs::read_to_string(svg).expect("the picture is drawn");
    for text in ["Entries over time", "time in the trace, seconds", "entries", "stored", "live", "lapsed, still stored"]
    {
        assert!(svg.contains(text), "no `{text}` in the picture");
    }
}

#[test]
fn json_draws_only_when_told_to() {
    let directory = scratch("json-draws");
    fs::create_dir_all(&directory).expect("the scratch directory is writable");
    let output = replay().arg("--json").current_dir(&directory).output().expect("the example starts");
    assert!(output.status.success());
    assert_eq!(fs::read_dir(&directory).expect("it is there").count(), 0);
    let report: Value = serde_json::from_slice(&output.stdout).expect("exactly one JSON object");
    assert!(report["operations_per_second"].as_f64() > Some(0.0), "{report}");
    assert!(report["bytes_per_entry"].as_f64() > Some(0.0), "{report}");
}

// ---- errors

#[test]
fn malformed_cloudphysics_line_is_an_error_with_its_place() {
    let good = "version,time,op,size,lbn\n1,5,2a,512,7\n";
    for (name, line, reason) in [
        ("cp-few", "1,5,2a,512", "expected 5 fields, found 4"),
        ("cp-many", "1,5,2a,512,7,8", "expected 5 fields, found 6"),
        ("cp-blank", "", "expected 5 fields, found 1"),
        ("cp-op", "1,5,35,512,7", "unknown op `35`"),
        ("cp-time", "1,x,28,512,7", "time `x` is not a whole number"),
        ("cp-negative", "1,-5,28,512,7", "time `-5` is not a whole number"),
        ("cp-fraction", "1,5.5,28,512,7", "time `5.5` is not a whole number"),
        ("cp-late", "1,18446744073709551615,28,512,7", "is it in seconds?"),
        ("cp-lbn", "1,5,28,512,18446744073709551616", "lbn `18446744073709551616` is too large"),
        ("cp-size", "1,5,28,,7", "size `` is not a whole number"),
        ("cp-version", "v1,5,28,512,7", "version `v1` is not a whole number"),
    ] {
        trace_error(name, format!("{good}{line}\n1,6,28,512,7\n"), 3, reason);
    }
    trace_error("cp-bytes", [good.as_bytes(), b"1,5,\xff,512,7\n"].concat(), 3, "not UTF-8");
}

#[test]
fn malformed_twemcache_line_is_an_error_with_its_place() {
    let good = "5,key,3,10,0,get,0\n";
    for (name, line, reason) in [
        ("tw-few", "5,key,3,10,0,get", "expected 7 fields, found 6"),
        ("tw-many", "5,key,3,10,0,get,0,0", "expected 7 fields, found 8"),
        ("tw-op", "5,key,3,10,0,touch,0", "unknown op `touch`"),
        ("tw-key", "5,,0,10,0,get,0", "the key is empty"),
        ("tw-key-size", "5,key,three,10,0,get,0", "key_size `three` is not a whole number"),
        ("tw-client", "5,key,3,10,-,get,0", "client_id `-` is not a whole number"),
        ("tw-ttl", "5,key,3,10,0,set,1h", "ttl `1h` is not a whole number"),
        ("tw-large", "5,key,3,1073741825,0,set,0", "value_size `1073741825` is over 1 GiB"),
        ("tw-time", "+5,key,3,10,0,get,0", "timestamp `+5` is not a whole number"),
    ] {
        trace_error(name, format!("{good}{line}\r\n{good}"), 2, reason);
    }
}

#[test]
fn missing_file_is_an_error() {
    let message = error(&["--trace", "no/such/trace.csv"]);
    assert!(message.contains("no/such/trace.csv: "), "{message}");
    let empty = write("empty.csv", "");
    assert!(error(&["--trace", &empty]).contains("empty"));
}

#[test]
fn format_that_is_unknown_or_not_the_files_is_an_error() {
    let twemcache = write("one-get.csv", "5,key,3,10,0,get,0");
    assert!(error(&["--trace", &twemcache, "--format", "oracle"]).contains("oracle"));
    let message = error(&["--trace", &twemcache, "--format", "cloudphysics"]);
    assert!(message.contains(":1: expected the header"), "{message}");
    assert_eq!(counts(&["--trace", &twemcache, "--format", "twemcache"])[0], 1);
}

#[test]
fn bad_arguments_are_errors() {
    for ttl in ["", "5 parsecs", "-1s", "300", "1e400s"] {
        assert!(error(&[&format!("--ttl={ttl}")]).contains("--ttl"), "{ttl}");
    }
    assert!(error(&["--threads", "0"]).contains("--threads"));
    assert!(error(&["--svg", "no/such/directory.svg"]).contains("no/such/directory.svg: "));
    assert!(error(&["--generate", "cluster4"]).contains("--stats"));
    assert!(error(&["--seed", "4"]).contains("--generate"));
    assert!(error(&["--colour"]).contains("--colour"));
}

#[test]
fn help_is_no_error() {
    let output = run(&["--help"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("Read-through"));
}

// ---- the generator

const STATS: &str = "\
cluster,miss_ratio,key_bytes,value_bytes,kqps,mean_frequency,ttl_mix,op_mix,zipf_alpha
cluster1,0.1,20,100,0.50,4.0,\"10s:0.50, 0.5h:0.25\",get:0.60 set:0.20 add:0.10 delete:0.05 cas:0.05,0.9
cluster2,N/A,4,1,1,1,N/A,set:1.00,NA
cluster3,0.1,20,100,?,4.0,1d:1.00,get:1.00,0.9
cluster4,0.1,20,100,1,4.0,1w:1.00,get:1.00,0.9
cluster5,0.1,20,100,1,4.0,1d:1.00,look:1.00,0.9
cluster6,0.1,900,100,1,4.0,1d:1.00,get:1.00,0.9
";

fn generate(stats: &str, cluster: &str, requests: u32, seed: u32) -> String {
    let (requests, seed) = (requests.to_string(), seed.to_string());
    let output = run(&["--generate", cluster, "--stats", stats, "--requests", &requests, "--seed", &seed]);
    assert!(output.status.success(), "{cluster}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a trace is UTF-8")
}

#[test]
fn seed_decides_the_generated_trace() {
    let stats = write("seed-stats.csv", STATS);
    let trace = generate(&stats, "cluster1", 5_000, 7);
    assert_eq!(generate(&stats, "1", 5_000, 7), trace);
    assert_ne!(generate(&stats, "cluster1", 5_000, 8), trace);

    let file = scratch("seed-7.csv").display().to_string();
    let args = ["--generate", "cluster1", "--stats", &stats, "--requests", "5000", "--seed", "7", "--out", &file];
    assert!(run(&args).stdout.is_empty());
    assert_eq!(fs::read_to_string(file).expect("--out is written"), trace);
}

#[test]
fn generated_trace_has_the_clusters_mixes() {
    let stats = write("mix-stats.csv", STATS);
    let trace = generate(&stats, "cluster1", 20_000, 1);
    let rows: Vec<Vec<&str>> = trace.lines().map(|line| line.split(',').collect()).collect();
    let share = |what: &dyn Fn(&[&str]) -> bool| rows.iter().filter(|row| what(row)).count() as f64 / 20_000.0;
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 0.02, "{found}, not {expected}");

    near(share(&|row| row[5] == "get"), 0.60);
    near(share(&|row| row[5] == "set"), 0.20);
    near(share(&|row| row[5] == "cas"), 0.05);
    // A third part of the stores, as shares need not add up to one.
    near(share(&|row| row[6] == "1800") / share(&|row| row[6] != "0"), 0.333);
    assert_eq!(share(&|row| row[6] == "0" || ["set", "add", "cas"].contains(&row[5])), 1.0);
    assert_eq!(share(&|row| row[1].len() == 20 && row[2] == "20"), 1.0);
    let bytes: f64 = rows.iter().map(|row| row[3].parse::<f64>().expect("value_size")).sum();
    assert!((80.0..120.0).contains(&(bytes / 20_000.0)), "mean value of {}", bytes / 20_000.0);
    assert_eq!((rows[0][0], rows[19_999][0]), ("0", "39"), "500 requests a second");
    // Zipf: the first of 5,000 keys with exponent 0.9 has a share of 8 %.
    near(share(&|row| row[1].ends_with("k0000000000000000001")), 0.08);

    let forever = generate(&stats, "cluster2", 100, 1);
    assert!(forever.lines().all(|line| line.ends_with(",set,0")), "no TTL known: for ever");
}

#[test]
fn generated_trace_gives_the_same_counts_on_any_number_of_threads() {
    let stats = write("threads-stats.csv", STATS);
    let trace = write("threads.csv", generate(&stats, "cluster1", 20_000, 3));
    let one = counts(&["--trace", &trace]);
    counts_add_up(one);
    assert!(one.iter().all(|&count| count > 0), "{one:?}");
    assert_eq!(counts(&["--trace", &trace, "--threads", "2"]), one);
    assert_eq!(counts(&["--trace", &trace, "--threads", "4"]), one);
}

#[test]
fn every_published_cluster_can_be_generated_and_replayed() {
    let Some(stats) = shared("workloads/twitter-2020mar.csv") else { return };
    let rows = fs::read_to_string(&stats).expect("the statistics are readable");
    let clusters: Vec<_> = rows.lines().skip(1).filter_map(|row| row.split(',').next()).collect();
    assert!(!clusters.is_empty());
    for cluster in clusters {
        assert_eq!(generate(&stats, cluster, 1, 1).lines().count(), 1);
        let text = generate(&stats, cluster, 500, 1);
        assert_eq!(text.lines().count(), 500, "{cluster}");
        let trace = write(&format!("{cluster}.csv"), text);
        counts_add_up(counts(&["--trace", &trace, "--threads", "2"]));
    }
}

#[test]
fn carried_trace_is_what_the_generator_makes() {
    let Some(stats) = shared("workloads/twitter-2020mar.csv") else { return };
    let args = ["--generate", "cluster23", "--stats", &stats, "--requests", "24000", "--rate", "40", "--seed", "1"];
    let carried = Path::new(env!("CARGO_MANIFEST_DIR")).join("replay/sample.twemcache.csv");
    assert!(run(&args).stdout == fs::read(carried).expect("the project carries it"));
}

#[test]
fn statistics_that_lack_something_are_an_error() {
    let stats = write("bad-stats.csv", STATS);
    let message = |cluster| error(&["--generate", cluster, "--stats", &stats, "--requests", "9"]);
    let unknown = message("cluster9");
    assert!(unknown.contains(&format!("{stats}: there is no cluster `cluster9`")), "{unknown}");
    for (cluster, line, reason) in [
        ("cluster3", 4, "kqps `?`"),
        ("cluster4", 5, "ttl_mix `1w:1.00`"),
        ("cluster5", 6, "op_mix `look:1.00`"),
        ("cluster6", 7, "key_bytes `900` is over 250"),
    ] {
        let message = message(cluster);
        assert!(message.contains(&format!("{stats}:{line}: {reason}")), "{message}");
    }

    let torn = write("torn-stats.csv", format!("{STATS}cluster7,0.1\n"));
    let message = error(&["--generate", "cluster7", "--stats", &torn, "--requests", "9"]);
    assert!(message.contains(&format!("{torn}:8: ")), "{message}");
    let message = error(&["--generate", "cluster1", "--stats", "no/such.csv", "--requests", "9"]);
    assert!(message.contains("no/such.csv: "), "{message}");
}

#[test]
fn reader_that_leaves_is_no_error() {
    let stats = write("pipe-stats.csv", STATS);
    let mut generator = replay()
        .args(["--generate", "cluster1", "--stats", &stats, "--requests", "10000000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example starts");
    let mut line = String::new();
    let stdout = generator.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut line).expect("a first line comes");
    let mut stderr = String::new();
    generator.stderr.take().expect("it is piped").read_to_string(&mut stderr).expect("messages are UTF-8");
    assert_eq!((generator.wait().expect("it ends").code(), stderr.as_str()), (Some(0), ""));
}

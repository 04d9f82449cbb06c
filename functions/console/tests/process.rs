//! The program itself: how it starts, where its link goes, and how it ends.

use std::{
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

const URLS: [(&str, &str); 5] = [
    ("SETUP_URL", "https://a.lambda-url.eu-west-1.on.aws/"),
    ("STACKS_URL", "https://b.lambda-url.eu-west-1.on.aws/"),
    ("RUNS_URL", "https://c.lambda-url.eu-west-1.on.aws/"),
    ("DELIVERIES_URL", "https://d.lambda-url.eu-west-1.on.aws/"),
    ("UNLINK_URL", "https://e.lambda-url.eu-west-1.on.aws/"),
];

/// A console with an environment of its own, in which nobody is signed in.
fn console(folder: &PathBuf, urls: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_console"));
    command
        .env_clear()
        .env("HOME", folder)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(urls.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("console-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// What it says once it was told to end, with its code.
fn ended(mut child: Child, signal: &str) -> (Option<i32>, String, String) {
    let told = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(told.unwrap().success());
    let code = child.wait().unwrap().code();
    let (mut out, mut notes) = (String::new(), String::new());
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut notes)
        .unwrap();
    (code, out, notes)
}

fn until<T>(wanted: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = wanted() {
            return found;
        }
        assert!(Instant::now() < end, "it does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn with_a_ready_file_the_link_is_there_and_in_no_log_and_both_signals_end_it_well() {
    for signal in ["-TERM", "-INT"] {
        let folder = folder(&format!("ready{signal}"));
        let ready_file = folder.join("console.json");
        let child = console(&folder, &URLS)
            .args(["--port", "0", "--environment", "prod", "--ready-file"])
            .arg(&ready_file)
            .spawn()
            .unwrap();
        let ready: Value = until(|| serde_json::from_slice(&fs::read(&ready_file).ok()?).ok());
        let mode = fs::metadata(&ready_file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (url, link) = (
            ready["url"].as_str().unwrap(),
            ready["link"].as_str().unwrap(),
        );
        let code = link.strip_prefix(&format!("{url}/#")).unwrap();
        assert_eq!(code.len(), 43);

        let (status, out, notes) = ended(child, signal);
        assert_eq!(status, Some(0), "{signal}: {notes}");
        assert!(!out.contains(code) && !notes.contains(code), "{out}{notes}");
        assert!(out.contains("prod") && out.contains("lambda-url"), "{out}");
        assert!(!ready_file.exists(), "its link leads nowhere now");
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn whoever_is_not_signed_in_is_told_so_at_once_and_it_runs_all_the_same() {
    let folder = folder("nobody");
    let mut child = console(&folder, &URLS).args(["--port=0"]).spawn().unwrap();
    let mut notes = child.stderr.take().unwrap();
    let mut first = [0; 48];
    notes.read_exact(&mut first).unwrap();
    let first = String::from_utf8_lossy(&first).into_owned();
    assert!(first.contains("There are no AWS credentials"), "{first}");
    assert_eq!(child.try_wait().unwrap(), None);
    child.stderr = Some(notes);
    let (status, out, notes) = ended(child, "-TERM");
    assert_eq!(status, Some(0), "{notes}");
    assert!(notes.contains("need not be started again"), "{notes}");
    assert!(
        out.contains("http://127.0.0.1:") && out.contains("/#"),
        "{out}"
    );
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_is_missing_ends_it_with_what_to_do() {
    let folder = folder("missing");
    let output = console(&folder, &URLS[..4]).output().unwrap();
    let notes = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{notes}");
    assert!(
        notes.contains("UNLINK_URL") && notes.contains("make console"),
        "{notes}"
    );

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = console(&folder, &URLS)
        .args(["--port", &port])
        .output()
        .unwrap();
    let notes = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{notes}");
    assert!(notes.contains(&port) && notes.contains("--port"), "{notes}");

    // A URL that says no region, and nobody else who does.
    let local = URLS.map(|(name, _)| (name, "http://127.0.0.1:9/x"));
    let output = console(&folder, &local).output().unwrap();
    let notes = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{notes}");
    assert!(notes.contains("AWS_REGION"), "{notes}");
    fs::remove_dir_all(folder).unwrap();
}

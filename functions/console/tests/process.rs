//! The program itself: how it starts, where its link goes, and how it ends.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
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

/// A console that ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended needs no more.
        let _gone = self.0.kill();
        let _waited = self.0.wait();
    }
}

fn folder(name: &str) -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("console-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// What it says once it was told to end, with its code.
fn ended(mut running: Running, signal: &str) -> Result<(Option<i32>, String, String)> {
    let child = &mut running.0;
    let told = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(told?.success());
    let code = child.wait()?.code();
    let (mut out, mut notes) = (String::new(), String::new());
    child
        .stdout
        .take()
        .context("absent")?
        .read_to_string(&mut out)?;
    child
        .stderr
        .take()
        .context("absent")?
        .read_to_string(&mut notes)?;
    Ok((code, out, notes))
}

fn until<T>(wanted: impl Fn() -> Option<T>) -> Result<T> {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = wanted() {
            return Ok(found);
        }
        ensure!(Instant::now() < end, "it does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn with_a_ready_file_the_link_is_there_and_in_no_log_and_both_signals_end_it_well() -> Result<()> {
    for signal in ["-TERM", "-INT"] {
        let folder = folder(&format!("ready{signal}"))?;
        let ready_file = folder.join("console.json");
        let child = Running(
            console(&folder, &URLS)
                .args(["--port", "0", "--environment", "prod", "--ready-file"])
                .arg(&ready_file)
                .spawn()?,
        );
        let ready: Value = until(|| serde_json::from_slice(&fs::read(&ready_file).ok()?).ok())?;
        let mode = fs::metadata(&ready_file)?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (url, link) = (
            ready["url"].as_str().context("absent")?,
            ready["link"].as_str().context("absent")?,
        );
        let code = link.strip_prefix(&format!("{url}/#")).context("absent")?;
        assert_eq!(code.len(), 43);

        let (status, out, notes) = ended(child, signal)?;
        assert_eq!(status, Some(0), "{signal}: {notes}");
        assert!(!out.contains(code) && !notes.contains(code), "{out}{notes}");
        assert!(out.contains("prod") && out.contains("lambda-url"), "{out}");
        assert!(!ready_file.exists(), "its link leads nowhere now");
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

#[test]
fn whoever_is_not_signed_in_is_told_so_at_once_and_it_runs_all_the_same() -> Result<()> {
    let folder = folder("nobody")?;
    let mut child = Running(console(&folder, &URLS).args(["--port=0"]).spawn()?);
    let mut notes = child.0.stderr.take().context("absent")?;
    let mut first = [0; 48];
    notes.read_exact(&mut first)?;
    let first = String::from_utf8_lossy(&first).into_owned();
    assert!(first.contains("There are no AWS credentials"), "{first}");
    assert_eq!(child.0.try_wait()?, None);
    child.0.stderr = Some(notes);
    let (status, out, notes) = ended(child, "-TERM")?;
    assert_eq!(status, Some(0), "{notes}");
    assert!(notes.contains("need not be started again"), "{notes}");
    assert!(
        out.contains("http://127.0.0.1:") && out.contains("/#"),
        "{out}"
    );
    fs::remove_dir_all(folder)?;
    Ok(())
}

#[test]
fn what_is_missing_ends_it_with_what_to_do() -> Result<()> {
    let folder = folder("missing")?;
    let output = console(&folder, &URLS[..4]).output()?;
    let notes = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{notes}");
    assert!(
        notes.contains("UNLINK_URL") && notes.contains("make console"),
        "{notes}"
    );

    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let output = console(&folder, &URLS).args(["--port", &port]).output()?;
    let notes = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{notes}");
    assert!(notes.contains(&port) && notes.contains("--port"), "{notes}");

    // A URL that says no region, and nobody else who does.
    let local = URLS.map(|(name, _)| (name, "http://127.0.0.1:9/x"));
    let output = console(&folder, &local).output()?;
    let notes = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{notes}");
    assert!(notes.contains("AWS_REGION"), "{notes}");
    fs::remove_dir_all(folder)?;
    Ok(())
}

/// Answers whatever comes with `{}`; tells what it was sent.
fn function() -> Result<(String, mpsc::Receiver<String>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || -> Result<()> {
        for stream in listener.incoming() {
            let mut stream = stream?;
            let mut head = String::new();
            for line in BufReader::new(&stream).lines() {
                let line = line?;
                if line.is_empty() {
                    break;
                }
                head.push_str(&line);
                head.push('\n');
            }
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            stream.write_all(answer.as_bytes())?;
            if told.send(head).is_err() {
                break;
            }
        }
        Ok(())
    });
    Ok((url, heard))
}

/// One request of the console: its answer whole.
fn ask(url: &str, head: &str, body: &str) -> Result<String> {
    let host = url.strip_prefix("http://").context("absent")?;
    let mut stream = TcpStream::connect(host)?;
    let length = body.len();
    let request = format!(
        "{head}\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn whoever_signs_in_while_it_runs_need_not_start_it_again() -> Result<()> {
    let folder = folder("signing-in")?;
    let ready_file = folder.join("console.json");
    let (url, heard) = function()?;
    let urls = URLS.map(|(name, _)| (name, url.as_str()));
    let child = Running(
        console(&folder, &urls)
            .env("AWS_REGION", "eu-west-1")
            .args(["--port=0", "--ready-file"])
            .arg(&ready_file)
            .spawn()?,
    );
    let ready: Value = until(|| serde_json::from_slice(&fs::read(&ready_file).ok()?).ok())?;
    let (address, link) = (
        ready["url"].as_str().context("absent")?,
        ready["link"].as_str().context("absent")?,
    );
    let code = link.split_once('#').context("absent")?.1;
    let opened = ask(
        address,
        "POST /session HTTP/1.1",
        &format!(r#"{{"code":"{code}"}}"#),
    )?;
    let body = opened.split_once("\r\n\r\n").context("absent")?.1;
    let opened: Value = serde_json::from_str(body)?;
    let token = opened["token"].as_str().context("absent")?;
    let head = format!("GET /api/runs/runs HTTP/1.1\r\nx-stackhook-console: {token}");

    let answer = ask(address, &head, "")?;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(
        answer.contains("urn:stackhook:console:no-credentials"),
        "{answer}"
    );
    fs::create_dir(folder.join(".aws"))?;
    let keys = "[default]\naws_access_key_id = AKIDLATER\naws_secret_access_key = kept-secret\n";
    fs::write(folder.join(".aws/credentials"), keys)?;
    let answer = ask(address, &head, "")?;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let sent = heard.recv_timeout(Duration::from_secs(20))?;
    assert!(sent.starts_with("GET /runs HTTP/1.1\n"), "{sent}");
    assert!(sent.contains("Credential=AKIDLATER/"), "{sent}");

    let (status, out, notes) = ended(child, "-TERM")?;
    assert_eq!(status, Some(0), "{notes}");
    for secret in ["kept-secret", token, code] {
        assert!(
            !out.contains(secret) && !notes.contains(secret),
            "{out}{notes}"
        );
    }
    fs::remove_dir_all(folder)?;
    Ok(())
}

//! `make console`: Stackhook's page, on this machine.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    console::from_the_command_line(std::env::args().skip(1)).await
}

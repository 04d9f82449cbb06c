//! `make tail`: deliveries in the terminal as they come.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    tail::from_the_command_line(std::env::args().skip(1)).await
}

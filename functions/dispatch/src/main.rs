//! The Lambda function `dispatch`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    edge::init_logs();
    let app = dispatch::App::from_env().await?;
    edge::serve_events(|event: dispatch::Trigger, context| app.invoked(event, context)).await
}

//! The Lambda function `reconcile`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    edge::init_logs();
    let app = reconcile::App::from_env().await?;
    edge::serve_events(|event, context| {
        let left = edge::time_left(&context);
        let app = &app;
        async move { Ok(app.handle(event, left).await?) }
    })
    .await
}

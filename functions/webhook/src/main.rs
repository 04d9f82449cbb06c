//! The Lambda function `webhook`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    edge::init_logs();
    let app = webhook::App::from_env().await?;
    edge::serve_until(|request| app.handle(request), || app.is_worn_out()).await
}

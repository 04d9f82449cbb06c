//! The Lambda function `runs`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    edge::init_logs();
    let app = runs::App::from_env().await?;
    edge::serve(|request| app.handle(request)).await
}

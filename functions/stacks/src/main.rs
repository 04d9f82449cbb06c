//! The Lambda function `stacks`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    edge::init_logs();
    let app = stacks::App::from_env().await?;
    edge::serve(|request| app.handle(request)).await
}

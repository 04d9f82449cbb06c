provider "aws" {
  region = var.region

  # The local AWS answers at AWS_ENDPOINT_URL, which the provider reads itself; it has no host name for each bucket.
  skip_credentials_validation = local.is_local
  skip_metadata_api_check     = local.is_local
  s3_use_path_style           = local.is_local

  default_tags {
    tags = merge(var.tags, {
      Application = "stackhook"
      Environment = var.environment
    })
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

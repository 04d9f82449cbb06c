terraform {
  required_version = ">= 1.11, < 2.0"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # Exactly one version, because no lock file is kept: one made from a provider mirror has hashes that break others.
      version = "5.100.0"
    }
  }
}

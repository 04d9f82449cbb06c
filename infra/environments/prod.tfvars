# make deploy ENVIRONMENT=prod. Everything else as variables.tf has it.
environment = "prod"

//! A run's state becomes commit and pull request statuses in Azure DevOps.

//! Opening the store that the settings name.

use std::path::Path;
use std::sync::Arc;

use crate::daemon::settings::{Settings, StoreUrl};
use crate::io::store::{Store, StoreError};

/// The store of these settings, whose passwords are resolved.
pub async fn open_store(settings: &Settings) -> Result<Arc<dyn Store>, StoreError> {
    match &settings.store {
        StoreUrl::Sqlite(path) => open_sqlite(path, &settings.node),
        StoreUrl::Mongo(url) => open_mongo(url.expose()).await,
    }
}

#[cfg(feature = "sqlite")]
fn open_sqlite(path: &Path, node: &str) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(crate::io::store::sqlite::SqliteStore::open(path, node)?))
}

#[cfg(not(feature = "sqlite"))]
fn open_sqlite(_path: &Path, _node: &str) -> Result<Arc<dyn Store>, StoreError> {
    Err(StoreError::NotBuilt("sqlite"))
}

#[cfg(feature = "mongo")]
async fn open_mongo(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(crate::io::store::mongo::MongoStore::open(url).await?))
}

#[cfg(not(feature = "mongo"))]
async fn open_mongo(_url: &str) -> Result<Arc<dyn Store>, StoreError> {
    Err(StoreError::NotBuilt("mongo"))
}

//! Faults of the line to DynamoDB.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use tokio::net::TcpListener;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    },
};

use super::{post, push, stored};
use crate::support::{Bed, Fleet, Tap};

#[tokio::test]
async fn s7_a_pooled_connection_that_was_reset_is_not_seen_by_the_sender() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let tap = Tap::counting(&bed.stack.description.endpoint_url).await?;
    let app = bed.webhook_at(&tap.url()).await;
    assert_eq!(post(&app, &linked, &push()).await, 200);
    for number in 2..=5 {
        assert_eq!(tap.reset_connections().await, 1, "none was pooled");
        assert_eq!(post(&app, &linked, &push()).await, 200);
        assert_eq!(stored(&bed, &linked).await?, number);
    }
    Ok(())
}

#[tokio::test]
async fn s7_a_connection_that_was_reset_while_the_instance_was_frozen_is_not_seen_by_the_sender()
-> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let tap = Tap::counting(&bed.stack.description.endpoint_url).await?;
    let fleet = Fleet::on(&bed, &tap).await?;
    let endpoint = fleet.endpoint(linked.name.as_str());
    let deliver = || bed.stack.deliver(&endpoint, &linked.password, push());
    assert_eq!(deliver().await?.status, 200);
    for number in 2..=5 {
        fleet.signal_one("STOP")?;
        assert_eq!(tap.reset_connections().await, 1, "none was pooled");
        // Its first sight of the reset and of the event are the same.
        let thaw = async {
            fleet.until_busy(1).await?;
            fleet.signal_one("CONT")
        };
        let (answer, ()) = tokio::try_join!(deliver(), thaw)?;
        assert_eq!(answer.status, 200);
        assert_eq!(stored(&bed, &linked).await?, number);
    }
    assert_eq!(fleet.instances_started(), 1);
    Ok(())
}

#[tokio::test]
async fn s12_a_dynamodb_that_cannot_be_reached_is_503() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let nobody = Nobody::listens().await?;
    let unheard = TcpListener::bind("127.0.0.1:0").await?;
    let cases = [
        ("no such name", "http://dynamodb.nowhere.invalid".to_owned()),
        ("nothing listens", "http://127.0.0.1:1".to_owned()),
        ("no answer", format!("http://{}", unheard.local_addr()?)),
        ("a certificate of nobody", nobody.url.clone()),
        (
            "an IPv6 address that leads nowhere",
            "http://[100::1]:8000".to_owned(),
        ),
    ];
    let posts = cases.map(|(case, endpoint)| {
        let (bed, linked) = (&bed, &linked);
        async move {
            let app = bed.webhook_at(&endpoint).await;
            assert_eq!(post(&app, linked, &push()).await, 503, "{case}");
        }
    });
    futures::future::join_all(posts).await;
    assert!(nobody.shakes_hands().await, "TLS was not even tried");
    assert_eq!(stored(&bed, &linked).await?, 0);
    Ok(())
}

/// For localhost, signed by itself, for a hundred years. The key is no secret: nobody trusts what it signs. Made by
/// `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 36500 -subj /CN=localhost`.
const CERTIFICATE: &[u8] = include_bytes!("../support/nobody/certificate.der");
const KEY: &[u8] = include_bytes!("../support/nobody/key.der");

/// A TLS server whose certificate nobody has signed.
struct Nobody {
    url: String,
    tried: tokio::sync::watch::Receiver<bool>,
}

impl Nobody {
    async fn listens() -> Result<Self> {
        let certificate = CertificateDer::from_slice(CERTIFICATE);
        let key = PrivatePkcs8KeyDer::from(KEY);
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key.into())?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://localhost:{}", listener.local_addr()?.port());
        let (tells, tried) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                // It fails: the client turns away when it sees the certificate.
                let refused = acceptor.accept(connection).await.is_err();
                tells.send_modify(|tried| *tried |= refused);
            }
        });
        Ok(Self { url, tried })
    }

    async fn shakes_hands(mut self) -> bool {
        let tried = self.tried.wait_for(|tried| *tried);
        tokio::time::timeout(Duration::from_secs(10), tried)
            .await
            .is_ok_and(|tried| tried.is_ok())
    }
}

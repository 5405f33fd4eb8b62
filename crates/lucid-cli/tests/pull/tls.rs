//! TLS in front of the hub, with a certificate whose issuer nobody trusts who is not told to.
//!
//! What lies in `tls/` was made once, for a hundred years; the issuer's key was thrown away:
//!
//! ```text
//! openssl ecparam -name prime256v1 -genkey -noout -out ca.key
//! openssl req -x509 -new -key ca.key -sha256 -days 36500 -subj "/CN=A root of trust for Lucid's tests" \
//!     -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" -out ca.pem
//! openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out localhost.key
//! openssl req -new -key localhost.key -subj "/CN=localhost" -out localhost.csr
//! openssl x509 -req -in localhost.csr -CA ca.pem -CAkey ca.key -days 36500 -sha256 -out localhost.pem -extfile names
//!     names:  subjectAltName=DNS:localhost,IP:127.0.0.1
//!             basicConstraints=critical,CA:FALSE
//!             extendedKeyUsage=serverAuth
//! ```

use crate::hub::Hub;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Result, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

/// The file that holds the issuer.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pull/tls/ca.pem");

/// Serves by https what `hub` serves, and returns where.
pub fn before(hub: &Hub) -> String {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/localhost.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/localhost.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![certificate], key).unwrap());
    let behind = hub.address.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let client = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
            let hub = TcpStream::connect(&behind).unwrap();
            // who does not trust the certificate hangs up
            thread::spawn(move || relay(&mut BufReader::new(client), &mut BufReader::new(hub)));
        }
    });
    address
}

/// Carries requests one way and answers the other, until one side has enough.
fn relay<C: Read + Write>(client: &mut BufReader<C>, hub: &mut BufReader<TcpStream>) -> Result<()> {
    loop {
        let request = head(client)?;
        hub.get_mut().write_all(request.as_bytes())?;
        let answer = head(hub)?;
        let length = answer.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        hub.read_exact(&mut body)?;
        client.get_mut().write_all(&[answer.as_bytes(), &body].concat())?;
        client.get_mut().flush()?;
    }
}

/// Everything up to an empty line.
fn head(from: &mut impl BufRead) -> Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

//! The mailer against a server that follows a script: it refuses, vanishes or hangs at every stage.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{MailFailure, Mailer, OutgoingMail};
use crate::Language;

/// Where in the conversation something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Greeting,
    Ehlo,
    Mail,
    Rcpt,
    Data,
    Dot,
}

const STAGES: [Stage; 6] = [Stage::Greeting, Stage::Ehlo, Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Dot];

/// What happens there.
#[derive(Clone, Copy)]
enum Act {
    Say(&'static str),
    Disconnect,
    Hang,
}

/// A server on a free port; every message it has read in full is sent to the channel.
struct Server {
    url: String,
    received: mpsc::UnboundedReceiver<String>,
}

async fn server(stage: Option<Stage>, act: Act) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let (sender, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let _ = converse(stream, stage, act, sender).await;
            });
        }
    });
    Server { url, received }
}

async fn converse(
    stream: TcpStream,
    scripted: Option<Stage>,
    act: Act,
    received: mpsc::UnboundedSender<String>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut stage = Stage::Greeting;
    loop {
        if scripted == Some(stage) {
            match act {
                Act::Say(line) => stream.write_all(format!("{line}\r\n").as_bytes()).await?,
                Act::Disconnect => return Ok(()),
                // Until the client hangs up.
                Act::Hang => while stream.read_line(&mut String::new()).await? > 0 {},
            }
        } else {
            let answer = match stage {
                Stage::Greeting => "220 scripted.example ESMTP",
                Stage::Ehlo => "250-scripted.example\r\n250 8BITMIME",
                Stage::Mail | Stage::Rcpt => "250 2.1.0 Ok",
                Stage::Data => "354 Go ahead",
                Stage::Dot => "250 2.0.0 Ok: queued as 4711 for admin@example.org",
            };
            stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        }
        if stage == Stage::Data {
            let mut message = String::new();
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await? == 0 {
                    return Ok(());
                }
                if line == ".\r\n" {
                    break;
                }
                message.push_str(&line);
            }
            let _ = received.send(message);
            stage = Stage::Dot;
            continue;
        }
        let mut command = String::new();
        if stream.read_line(&mut command).await? == 0 {
            return Ok(());
        }
        stage = match command.split([' ', ':']).next().unwrap_or_default().trim() {
            "EHLO" => Stage::Ehlo,
            "MAIL" => Stage::Mail,
            "RCPT" => Stage::Rcpt,
            "DATA" => Stage::Data,
            _ => {
                stream.write_all(b"221 Bye\r\n").await?;
                return Ok(());
            }
        };
    }
}

fn mail() -> OutgoingMail {
    OutgoingMail {
        to: "admin@example.org".to_owned(),
        subject: "Xledger: the last 2 syncs failed".to_owned(),
        text: "Hello,\n\n.hidden dot\n".to_owned(),
        html: "<p>Hello,</p>\n".to_owned(),
        message_id: "<incident-1@syncwatch.example>".to_owned(),
        in_reply_to: None,
        references: Vec::new(),
        language: Language::En,
    }
}

fn mailer(url: &str) -> Mailer {
    Mailer::new(url, "Syncwatch <syncwatch@example.org>").unwrap()
}

async fn failure(stage: Stage, act: Act, timeout: Duration) -> MailFailure {
    let server = server(Some(stage), act).await;
    mailer(&server.url).with_timeout(timeout).send(&mail()).await.unwrap_err()
}

/// How each of these ends, all at once, where the server keeps the mailer waiting; none may wait for ever.
async fn given_up(cases: impl IntoIterator<Item = (Stage, Act)>) -> Vec<(Stage, MailFailure)> {
    let mut waiting = JoinSet::new();
    for (stage, act) in cases {
        waiting.spawn(async move { (stage, failure(stage, act, IMPATIENT).await) });
    }
    timeout(Duration::from_mins(1), waiting.join_all()).await.unwrap()
}

const PATIENT: Duration = Duration::from_mins(1);
/// What comes before the silence has to happen within that time, too.
const IMPATIENT: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_mail_arrives_as_it_was_fixed() {
    let mut server = server(None, Act::Disconnect).await;
    let delivered = mailer(&server.url).send(&mail()).await.unwrap();
    assert_eq!(delivered.server_answer, "250 2.0.0 Ok: queued as 4711 for [recipient]");
    let message = server.received.recv().await.unwrap();
    assert!(message.contains("Message-ID: <incident-1@syncwatch.example>\r\n"), "{message}");
    assert!(message.contains("\r\n..hidden dot\r\n"), "a leading dot is doubled on the way: {message}");
    assert!(server.received.try_recv().is_err(), "one mail, one message");
}

#[tokio::test]
async fn temporary_refusals_are_transient_at_every_stage() {
    for stage in STAGES {
        let failure = failure(stage, Act::Say("451 4.3.0 later, <admin@example.org>"), PATIENT).await;
        let MailFailure::Transient { detail } = &failure else { panic!("{stage:?}: {failure:?}") };
        assert!(detail.contains("451") && detail.contains("later"), "{stage:?}: {detail}");
        assert!(!detail.contains("admin@example.org"), "{detail}");
    }
}

#[tokio::test]
async fn refusals_of_the_mail_are_permanent_and_those_of_the_connection_are_not() {
    for stage in STAGES {
        let failure = failure(stage, Act::Say("554 5.7.1 never"), PATIENT).await;
        match stage {
            Stage::Greeting | Stage::Ehlo => {
                assert!(matches!(failure, MailFailure::Transient { .. }), "{stage:?}: {failure:?}");
            }
            Stage::Mail | Stage::Rcpt | Stage::Data | Stage::Dot => {
                assert!(matches!(failure, MailFailure::Permanent { code: 554, .. }), "{stage:?}: {failure:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_lost_connection_is_unknown_only_after_the_message() {
    for stage in STAGES {
        let failure = failure(stage, Act::Disconnect, PATIENT).await;
        match stage {
            Stage::Dot => assert!(matches!(failure, MailFailure::Unknown { .. }), "{failure:?}"),
            _ => assert!(matches!(failure, MailFailure::Transient { .. }), "{stage:?}: {failure:?}"),
        }
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up_on() {
    for (stage, failure) in given_up(STAGES.map(|stage| (stage, Act::Hang))).await {
        match stage {
            Stage::Dot => assert!(matches!(failure, MailFailure::Unknown { .. }), "{failure:?}"),
            _ => assert!(matches!(failure, MailFailure::Transient { .. }), "{stage:?}: {failure:?}"),
        }
    }
}

#[tokio::test]
async fn senseless_answers_are_not_taken_for_an_acceptance() {
    let answers = ["hello there", "354 Go on", "199 Well"].map(|line| (Stage::Dot, Act::Say(line)));
    for (_, failure) in given_up(answers).await {
        assert!(matches!(failure, MailFailure::Unknown { .. }), "{failure:?}");
    }
    let failure = failure(Stage::Data, Act::Say("250 Ok"), PATIENT).await;
    assert!(matches!(failure, MailFailure::Transient { .. }), "{failure:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_transient() {
    // Bound and not listening, so that nobody else listens there meanwhile.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("smtp://{}", nobody.local_addr().unwrap());
    let failure = mailer(&url).send(&mail()).await.unwrap_err();
    assert!(matches!(failure, MailFailure::Transient { .. }), "{failure:?}");
}

#[tokio::test]
async fn nothing_is_sent_where_encryption_was_asked_for_and_not_offered() {
    let mut server = server(None, Act::Disconnect).await;
    let url = server.url.replace("smtp://", "smtp+starttls://user:secret@");
    let failure = mailer(&url).send(&mail()).await.unwrap_err();
    assert!(matches!(failure, MailFailure::Transient { .. }), "{failure:?}");
    assert!(server.received.try_recv().is_err());
}

#[tokio::test]
async fn a_malformed_recipient_is_refused_before_any_server_is_asked() {
    let mut server = server(None, Act::Disconnect).await;
    let bad = OutgoingMail { to: "nobody".to_owned(), ..mail() };
    let failure = mailer(&server.url).send(&bad).await.unwrap_err();
    assert!(matches!(failure, MailFailure::Permanent { code: 0, .. }), "{failure:?}");
    assert!(server.received.try_recv().is_err());
}

#[test]
fn the_password_is_not_shown() {
    let mailer = mailer("smtps://user:very-secret@mail.example.org");
    assert!(!format!("{mailer:?}").contains("very-secret"));
}

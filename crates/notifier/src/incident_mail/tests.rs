use std::collections::BTreeSet;

use insta::assert_snapshot;

use super::*;

fn failing() -> IncidentMail {
    IncidentMail {
        kind: NotificationKind::IncidentOpened,
        incident_kind: IncidentKind::ConsecutiveFailures,
        integration_name: "Xledger".to_owned(),
        organization_name: "Demoforbundet".to_owned(),
        since: "2026-11-20T13:03:11Z".parse().unwrap(),
        time_zone: Tz::Europe__Oslo,
        failed_syncs: 2,
        error_message: Some("12 of 40 records were rejected".to_owned()),
        error_groups: vec![
            GroupLine {
                count: 9,
                message: "Invalid cost center code: 9999".to_owned(),
                field: Some("/cost_center".to_owned()),
            },
            GroupLine { count: 2, message: "Period 2026-08 is closed".to_owned(), field: Some("/period".to_owned()) },
            GroupLine { count: 1, message: "Amount is too large".to_owned(), field: None },
        ],
        failed_records: Some(12),
        link: "https://syncwatch.example/integrations/1?tab=records&outcome=failed".to_owned(),
    }
}

fn overdue() -> IncidentMail {
    IncidentMail {
        incident_kind: IncidentKind::Stale,
        error_message: None,
        error_groups: Vec::new(),
        failed_records: None,
        failed_syncs: 0,
        ..failing()
    }
}

#[test]
fn failing_in_english() {
    let mail = render(&failing(), Language::En);
    assert_snapshot!(format!("{}\n\n{}", mail.subject, mail.text), @r#"
    Xledger: the last 2 syncs failed

    Hello,

    The integration “Xledger” of Demoforbundet has been failing since Friday 20 November 2026 at 14:03 (Europe/Oslo): the last 2 syncs failed.

    12 records were not delivered.

    What went wrong:
    - 9 records: Invalid cost center code: 9999 (field: cost_center)
    - 2 records: Period 2026-08 is closed (field: period)
    - 1 record: Amount is too large

    The external system said:
    > 12 of 40 records were rejected

    Open it to see what failed, correct it and try again:
    https://syncwatch.example/integrations/1?tab=records&outcome=failed

    You will be told when a sync has succeeded again.

    You receive this e-mail because you are an administrator of Demoforbundet in Syncwatch. It was sent automatically; replies are not read.
    "#);
}

#[test]
fn failing_in_norwegian() {
    let mail = render(&failing(), Language::Nb);
    assert_snapshot!(format!("{}\n\n{}", mail.subject, mail.text), @r#"
    Xledger: de 2 siste synkroniseringene feilet

    Hei!

    Integrasjonen «Xledger» hos Demoforbundet har feilet siden fredag 20. november 2026 kl. 14.03 (Europe/Oslo): de 2 siste synkroniseringene feilet.

    12 poster ble ikke levert.

    Dette gikk galt:
    - 9 poster: Invalid cost center code: 9999 (felt: cost_center)
    - 2 poster: Period 2026-08 is closed (felt: period)
    - 1 post: Amount is too large

    Det eksterne systemet svarte:
    > 12 of 40 records were rejected

    Åpne den for å se hva som feilet, rette det og prøve på nytt:
    https://syncwatch.example/integrations/1?tab=records&outcome=failed

    Du får beskjed når en synkronisering har lykkes igjen.

    Du får denne e-posten fordi du er administrator for Demoforbundet i Syncwatch. Den er sendt automatisk, og svar blir ikke lest.
    "#);
}

#[test]
fn failing_in_nynorsk() {
    let mail = render(&failing(), Language::Nn);
    assert_snapshot!(format!("{}\n\n{}", mail.subject, mail.text), @r#"
    Xledger: dei 2 siste synkroniseringane feila

    Hei!

    Integrasjonen «Xledger» hos Demoforbundet har feila sidan fredag 20. november 2026 kl. 14.03 (Europe/Oslo): dei 2 siste synkroniseringane feila.

    12 postar vart ikkje leverte.

    Dette gjekk gale:
    - 9 postar: Invalid cost center code: 9999 (felt: cost_center)
    - 2 postar: Period 2026-08 is closed (felt: period)
    - 1 post: Amount is too large

    Det eksterne systemet svara:
    > 12 of 40 records were rejected

    Opne han for å sjå kva som feila, rette det og prøve på nytt:
    https://syncwatch.example/integrations/1?tab=records&outcome=failed

    Du får beskjed når ei synkronisering har lukkast igjen.

    Du får denne e-posten fordi du er administrator for Demoforbundet i Syncwatch. Han er send automatisk, og svar blir ikkje lesne.
    "#);
}

#[test]
fn overdue_in_nynorsk() {
    let mail = render(&overdue(), Language::Nn);
    assert_snapshot!(format!("{}\n\n{}", mail.subject, mail.text), @r#"
    Xledger: inga synkronisering er fullført i tide

    Hei!

    Integrasjonen «Xledger» hos Demoforbundet har vore forseinka sidan fredag 20. november 2026 kl. 14.03 (Europe/Oslo): inga synkronisering er fullført innan fristen.

    Opne han for å sjå når han sist vart køyrd, og for å starte ei synkronisering:
    https://syncwatch.example/integrations/1?tab=records&outcome=failed

    Du får beskjed når ei synkronisering har lukkast igjen.

    Du får denne e-posten fordi du er administrator for Demoforbundet i Syncwatch. Han er send automatisk, og svar blir ikkje lesne.
    "#);
}

#[test]
fn recovered_in_nynorsk() {
    let mail = IncidentMail { kind: NotificationKind::IncidentResolved, failed_records: Some(1), ..failing() };
    let mail = render(&mail, Language::Nn);
    assert_snapshot!(format!("{}\n\n{}", mail.subject, mail.text), @r#"
    Xledger: verkar igjen

    Hei!

    Integrasjonen «Xledger» hos Demoforbundet verkar igjen. Han hadde feila sidan fredag 20. november 2026 kl. 14.03 (Europe/Oslo).

    1 post frå synkroniseringane som feila, er framleis ikkje levert.

    Opne integrasjonen:
    https://syncwatch.example/integrations/1?tab=records&outcome=failed

    Du får denne e-posten fordi du er administrator for Demoforbundet i Syncwatch. Han er send automatisk, og svar blir ikkje lesne.
    "#);
}

#[test]
fn each_language_says_it_in_its_own_words() {
    let stale = IncidentMail { kind: NotificationKind::IncidentResolved, ..overdue() };
    for mail in [failing(), overdue(), IncidentMail { error_groups: Vec::new(), ..stale }] {
        let subjects: BTreeSet<String> = Language::ALL.iter().map(|it| render(&mail, *it).subject).collect();
        assert_eq!(subjects.len(), Language::ALL.len(), "{subjects:?}");
        for language in Language::ALL {
            let html = render(&mail, *language).html;
            assert!(html.contains(&format!("<html lang=\"{language}\">")), "{html}");
        }
    }
}

#[test]
fn overdue_in_both_languages() {
    let (english, norwegian) = (render(&overdue(), Language::En), render(&overdue(), Language::Nb));
    assert_snapshot!(format!("{}\n\n{}", english.subject, english.text), @r#"
    Xledger: no sync has been completed in time

    Hello,

    The integration “Xledger” of Demoforbundet has been overdue since Friday 20 November 2026 at 14:03 (Europe/Oslo): no sync has been completed in the time it is allowed.

    Open it to see when it last ran and to start a sync:
    https://syncwatch.example/integrations/1?tab=records&outcome=failed

    You will be told when a sync has succeeded again.

    You receive this e-mail because you are an administrator of Demoforbundet in Syncwatch. It was sent automatically; replies are not read.
    "#);
    assert_snapshot!(format!("{}\n\n{}", norwegian.subject, norwegian.text), @r#"
    Xledger: ingen synkronisering er fullført i tide

    Hei!

    Integrasjonen «Xledger» hos Demoforbundet har vært forsinket siden fredag 20. november 2026 kl. 14.03 (Europe/Oslo): ingen synkronisering er fullført innen fristen.

    Åpne den for å se når den sist ble kjørt, og for å starte en synkronisering:
    https://syncwatch.example/integrations/1?tab=records&outcome=failed

    Du får beskjed når en synkronisering har lykkes igjen.

    Du får denne e-posten fordi du er administrator for Demoforbundet i Syncwatch. Den er sendt automatisk, og svar blir ikke lest.
    "#);
}

#[test]
fn recovered_in_both_languages() {
    let mail = IncidentMail { kind: NotificationKind::IncidentResolved, failed_records: Some(1), ..failing() };
    let (english, norwegian) = (render(&mail, Language::En), render(&mail, Language::Nb));
    assert_snapshot!(format!("{}\n\n{}", english.subject, english.text), @r#"
    Xledger: working again

    Hello,

    The integration “Xledger” of Demoforbundet is working again. It had been failing since Friday 20 November 2026 at 14:03 (Europe/Oslo).

    1 record of the failed syncs has still not been delivered.

    Open the integration:
    https://syncwatch.example/integrations/1?tab=records&outcome=failed

    You receive this e-mail because you are an administrator of Demoforbundet in Syncwatch. It was sent automatically; replies are not read.
    "#);
    assert_snapshot!(format!("{}\n\n{}", norwegian.subject, norwegian.text), @r#"
    Xledger: virker igjen

    Hei!

    Integrasjonen «Xledger» hos Demoforbundet virker igjen. Den hadde feilet siden fredag 20. november 2026 kl. 14.03 (Europe/Oslo).

    1 post fra synkroniseringene som feilet, er fortsatt ikke levert.

    Åpne integrasjonen:
    https://syncwatch.example/integrations/1?tab=records&outcome=failed

    Du får denne e-posten fordi du er administrator for Demoforbundet i Syncwatch. Den er sendt automatisk, og svar blir ikke lest.
    "#);
    let stale = render(&IncidentMail { kind: NotificationKind::IncidentResolved, ..overdue() }, Language::En);
    assert!(stale.text.contains("It had been overdue since Friday"), "{}", stale.text);
}

#[test]
fn html_says_what_the_text_says() {
    let mail = render(&failing(), Language::Nb);
    assert_snapshot!(mail.html, @r#"
    <!doctype html>
    <html lang="nb">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>Xledger: de 2 siste synkroniseringene feilet</title>
    </head>
    <body style="font-family:sans-serif;line-height:1.5;max-width:40rem">
    <h1 style="font-size:1.25rem">Xledger feiler</h1>
    <p>Hei!</p>
    <p>Integrasjonen «Xledger» hos Demoforbundet har feilet siden fredag 20. november 2026 kl. 14.03 (Europe/Oslo): de 2 siste synkroniseringene feilet.</p>
    <p>12 poster ble ikke levert.</p>
    <p>Dette gikk galt:</p>
    <ul>
    <li>9 poster: Invalid cost center code: 9999 (felt: cost_center)</li>
    <li>2 poster: Period 2026-08 is closed (felt: period)</li>
    <li>1 post: Amount is too large</li>
    </ul>
    <p>Det eksterne systemet svarte:</p>
    <blockquote>12 of 40 records were rejected</blockquote>
    <p>Åpne den for å se hva som feilet, rette det og prøve på nytt:<br><a href="https://syncwatch.example/integrations/1?tab=records&amp;outcome=failed">https://syncwatch.example/integrations/1?tab=records&amp;outcome=failed</a></p>
    <p>Du får beskjed når en synkronisering har lykkes igjen.</p>
    <p>Du får denne e-posten fordi du er administrator for Demoforbundet i Syncwatch. Den er sendt automatisk, og svar blir ikke lest.</p>
    </body>
    </html>
    "#);
}

#[test]
fn subjects_have_one_line() {
    let mail = IncidentMail {
        integration_name: "Xledger\r\nBcc: someone@example.org\r\n\r\n\u{2028}body".to_owned(),
        ..failing()
    };
    for language in Language::ALL {
        let subject = render(&mail, *language).subject;
        assert!(!subject.chars().any(|c| c.is_control() || c == '\u{2028}'), "{subject:?}");
        assert!(subject.starts_with("Xledger Bcc: someone@example.org body"), "{subject:?}");
    }
}

#[test]
fn html_is_escaped_everywhere() {
    let nasty = "<script>alert('x')</script>\"&";
    let mail = IncidentMail {
        integration_name: nasty.to_owned(),
        organization_name: nasty.to_owned(),
        error_message: Some(nasty.to_owned()),
        error_groups: vec![GroupLine { count: 1, message: nasty.to_owned(), field: Some(nasty.to_owned()) }],
        link: format!("https://x.example/\"><script>{nasty}"),
        ..failing()
    };
    let html = render(&mail, Language::En).html;
    assert!(!html.contains("<script"), "{html}");
    assert!(!html.contains("alert('"), "{html}");
}

#[test]
fn only_web_addresses_are_links() {
    let mail = IncidentMail { link: "javascript:alert(1)".to_owned(), ..failing() };
    assert!(!render(&mail, Language::En).html.contains("href"));
}

#[test]
fn long_lists_and_messages_are_cut() {
    let group = GroupLine { count: 3, message: "æ".repeat(5_000), field: None };
    let mail = IncidentMail { error_groups: vec![group; 25], ..failing() };
    let text = render(&mail, Language::En).text;
    assert!(text.contains("and 15 further kinds of error"), "{text}");
    assert!(text.chars().count() < 8_000);
}

#[test]
fn times_are_shown_in_the_named_zone() {
    let mail = IncidentMail { time_zone: Tz::UTC, ..failing() };
    assert!(render(&mail, Language::En).text.contains("13:03 (UTC)"));
}

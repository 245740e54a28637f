use proptest::prelude::*;

use super::*;

fn whole(content_type: &str, body: &str) -> Answer {
    Answer {
        status: 200,
        content_type: Some(content_type.to_owned()),
        location: None,
        retry_after: None,
        body: body.as_bytes().to_vec(),
        completeness: Completeness::Whole,
    }
}

const TYPE: &str = "multipart/mixed; boundary=batchresponse_1";

/// A part as Dataverse writes it.
fn part_of(id: Option<usize>, status: u16, headers: &str, body: &str) -> String {
    let id = id.map(|id| format!("Content-ID: {id}\r\n")).unwrap_or_default();
    format!(
        "--batchresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n{id}\r\n\
         HTTP/1.1 {status} Some Words\r\nOData-Version: 4.0\r\n{headers}\r\n{body}\r\n"
    )
}

fn ended(parts: &[String]) -> String {
    format!("{}--batchresponse_1--\r\n", parts.concat())
}

/// The statuses that are there, and where the work ended.
fn statuses(answer: &Answer, operations: usize) -> (Vec<Option<u16>>, Option<usize>) {
    let parts = read(answer, operations).unwrap();
    assert_eq!(parts.answers.len(), operations);
    (parts.answers.iter().map(|answer| answer.as_ref().map(|answer| answer.status)).collect(), parts.stopped_at)
}

#[test]
fn parts_are_those_of_their_operations() {
    let location = "OData-EntityId: https://contoso.crm4.dynamics.com/api/data/v9.2/sw_claims(41)\r\n";
    let error = "{\"error\":{\"code\":\"0x80044331\",\"message\":\"no\"}}";
    let waits = "Retry-After: 7\r\nContent-Type: application/json\r\n";
    let body =
        ended(&[part_of(None, 204, location, ""), part_of(None, 400, waits, error), part_of(None, 204, location, "")]);
    let parts = read(&whole(TYPE, &body), 3).unwrap();
    let [made, refused, _] = parts.answers.as_slice() else { panic!("{parts:?}") };
    let (made, refused) = (made.as_ref().unwrap(), refused.as_ref().unwrap());
    assert_eq!((made.status, made.body.len()), (204, 0));
    assert!(made.location.as_deref().unwrap().ends_with("sw_claims(41)"));
    assert_eq!((refused.status, refused.body.as_slice()), (400, error.as_bytes()));
    assert_eq!(refused.retry_after.map(|wait| wait.as_secs()), Some(7));
    assert_eq!(refused.content_type.as_deref(), Some("application/json"));
    assert_eq!(parts.stopped_at, None, "every part is there");
}

#[test]
fn ids_say_whose_a_part_is() {
    let body = ended(&[part_of(Some(2), 400, "", ""), part_of(Some(1), 204, "", "")]);
    assert_eq!(statuses(&whole(TYPE, &body), 2), (vec![Some(204), Some(400)], None));
    let body = ended(&[part_of(Some(3), 204, "", "")]);
    assert_eq!(statuses(&whole(TYPE, &body), 3), (vec![None, None, Some(204)], None));
    // What contradicts itself is not believed.
    for (ids, operations) in [(vec![1, 1], 2), (vec![0, 1], 2), (vec![1, 4], 3), (vec![1, 2, 3], 2)] {
        let parts: Vec<String> = ids.iter().map(|id| part_of(Some(*id), 204, "", "")).collect();
        assert_eq!(statuses(&whole(TYPE, &ended(&parts)), operations), (vec![None; operations], None), "{ids:?}");
    }
    let mixed = ended(&[part_of(None, 204, "", ""), part_of(Some(1), 400, "", "")]);
    assert_eq!(statuses(&whole(TYPE, &mixed), 2), (vec![None, None], None));
}

#[test]
fn a_server_that_stops_at_a_failure_has_not_attempted_the_rest() {
    let (good, bad) = (part_of(None, 204, "", ""), part_of(None, 400, "", ""));
    let stopped = ended(&[good.clone(), bad.clone()]);
    assert_eq!(statuses(&whole(TYPE, &stopped), 4), (vec![Some(204), Some(400), None, None], Some(1)));
    assert_eq!(statuses(&whole(TYPE, &ended(std::slice::from_ref(&bad))), 2).1, Some(0));
    // It would not have gone on after the first failure; it would not have stopped without one; it is not known whether
    // there was more.
    for parts in [vec![bad.clone(), bad.clone()], vec![bad.clone(), good.clone()], vec![good.clone()], vec![]] {
        // Which of the four those are that are there, nobody says.
        assert_eq!(statuses(&whole(TYPE, &ended(&parts)), 4), (vec![None; 4], None), "{parts:?}");
    }
    let named = [part_of(Some(1), 204, "", ""), part_of(Some(3), 204, "", "")];
    assert_eq!(statuses(&whole(TYPE, &ended(&named)), 3), (vec![Some(204), None, Some(204)], None));
    let broken = Answer { completeness: Completeness::Broken, ..whole(TYPE, &stopped) };
    assert_eq!(statuses(&broken, 4), (vec![Some(204), Some(400), None, None], None));
    let unended = format!("{good}{bad}--batchresponse_1\r\n");
    assert_eq!(statuses(&whole(TYPE, &unended), 4), (vec![Some(204), Some(400), None, None], None));
}

#[test]
fn what_is_cut_off_is_not_there() {
    let body = ended(&[part_of(None, 204, "", ""), part_of(None, 400, "", "{\"error\":{}}")]);
    let second = body.rfind("--batchresponse_1\r\n").unwrap();
    for length in second..body.rfind("--batchresponse_1--").unwrap() {
        let cut = Answer { completeness: Completeness::Cut, ..whole(TYPE, &body[..length]) };
        let (there, stopped) = statuses(&cut, 2);
        assert_eq!((there[1], stopped), (None, None), "{length}");
    }
}

#[test]
fn a_part_that_is_no_answer_is_not_there() {
    let nested = "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changeset_1\r\n\r\n--changeset_1--\r\n";
    let odd = "--batchresponse_1\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 abc\r\n\r\n";
    let body = format!("{nested}{odd}{}--batchresponse_1--", part_of(None, 204, "", ""));
    assert_eq!(statuses(&whole(TYPE, &body), 3), (vec![None, None, Some(204)], None));
    // Line feeds alone, a quoted boundary, words before the first part.
    let body = format!("preamble\n{}", ended(&[part_of(None, 204, "", "")])).replace("\r\n", "\n");
    assert_eq!(statuses(&whole("Multipart/Mixed;Boundary=\"batchresponse_1\"", &body), 1).0, [Some(204)]);
}

#[test]
fn other_answers_have_no_parts() {
    for content_type in
        ["application/json", "multipart/mixed", "multipart/mixed; boundary=", "text/html; boundary=a", ""]
    {
        assert!(read(&whole(content_type, "--a--"), 1).is_none(), "{content_type}");
    }
    assert!(read(&Answer { content_type: None, ..whole(TYPE, "") }, 1).is_none());
}

proptest! {
    #[test]
    fn no_bytes_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[-b\r\n:HTP/1. 0-9]{0,120}") {
        for body in [bytes, text.into_bytes()] {
            let answer = Answer { body, ..whole("multipart/mixed; boundary=b", "") };
            let parts = read(&answer, 3).unwrap();
            prop_assert_eq!(parts.answers.len(), 3);
        }
    }

    #[test]
    fn every_part_is_read_as_it_was_written(
        parts in prop::collection::vec((100_u16..600, "[ -~]{0,40}"), 0..6), more in 0_usize..3, named in any::<bool>(),
    ) {
        let text: Vec<String> = parts.iter().enumerate()
            .map(|(place, (status, body))| part_of(named.then_some(place + 1), *status, "", body)).collect();
        let read = read(&whole(TYPE, &ended(&text)), parts.len() + more).unwrap();
        // Without names, parts that are missing for no reason could be anybody's.
        let is_believed = named || more == 0 || read.stopped_at.is_some();
        for (place, answer) in read.answers.iter().enumerate() {
            let written = parts.get(place).filter(|_| is_believed);
            prop_assert_eq!(answer.as_ref().map(|answer| answer.status), written.map(|(status, _)| *status));
            if let (Some(answer), Some((_, body))) = (answer, written) {
                prop_assert_eq!(String::from_utf8_lossy(&answer.body), body.trim_end());
            }
        }
        prop_assert!(read.stopped_at.is_none_or(|at| more > 0 && at + 1 == parts.len() && parts[at].0 >= 400));
    }
}

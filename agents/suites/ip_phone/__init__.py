"""The suite for SIP phones: its procedures by id, and opening it for a run."""

from agents.instruments.digest import Account
from agents.instruments.registrar import Registrar
from agents.instruments.sdp import G722, PCMA, PCMU
from agents.instruments.sender.sender import Sender
from agents.instruments.sip_endpoint import SipEndpoint
from agents.instruments.stall import StallMeter
from agents.measure import LabError, Procedure
from agents.suites.ip_phone import (
    audio,
    boot,
    calls,
    dialog_events,
    dialog_rules,
    dtls,
    handset_sound,
    hold,
    impaired_sound,
    interop,
    lamps,
    many_calls,
    media_stream,
    mwi,
    offers,
    opus,
    outage,
    qos,
    races,
    registration,
    reliable,
    request_rules,
    sent_sound,
    session_timers,
    skew,
    soak,
    speech_quality,
    timers,
    tls,
    torture,
    transfer,
)
from agents.suites.ip_phone.bench import PhoneBench, driver_for
from agents.suites.ip_phone.call import tone_frames
from agents.suites.ip_phone.pair import pair_suite
from agents.suites.ip_phone.srtp import secured_audio
from agents.suites.ip_phone.suite import PhoneSuite
from lab_inventory.clock import Clock
from lab_inventory.errors import Unavailable
from lab_inventory.messages import Assignment
from lab_inventory.noun import host_and_port

EXPIRES_S = 10
REALM = "assay"

PROCEDURES: dict[str, Procedure] = {
    procedure.id: procedure
    for procedure in (
        registration.digest_registration,
        registration.registration_refresh,
        calls.incoming_call,
        calls.outgoing_call,
        calls.session_end,
        calls.cancel,
        calls.options,
        many_calls.many_calls,
        hold.hold_and_resume,
        audio.codecs,
        opus.opus,
        audio.dtmf,
        audio.rtp_pacing,
        media_stream.rtp_stream,
        sent_sound.sent_sound,
        handset_sound.handset_sound,
        impaired_sound.impaired_sound,
        speech_quality.speech_quality,
        speech_quality.speech_over_bad_network,
        qos.qos_marks,
        skew.skew,
        soak.soak,
        soak.long_pacing,
        timers.invite_give_up,
        timers.non_invite_repeats,
        registration.digest_sha_256,
        outage.registration_after_outage,
        boot.boot_to_registered,
        offers.offers,
        offers.late_and_changed_offers,
        dialog_rules.answer_repeated,
        dialog_rules.dialog_rules,
        request_rules.loose_routing,
        request_rules.request_rules,
        races.cancel_race,
        races.reinvite_glare,
        reliable.reliable_provisional,
        transfer.blind_transfer,
        transfer.attended_transfer,
        transfer.transferred_by_peer,
        session_timers.session_timer,
        session_timers.session_timer_refresh,
        mwi.message_waiting,
        lamps.ring_lamp,
        lamps.message_lamp,
        torture.torture_messages,
        tls.tls_signalling,
        dialog_events.dialog_events,
        secured_audio,
        dtls.dtls_secured_audio,
        *interop.PROCEDURES,
    )
}


async def open_phone_suite(assignment: Assignment, clock: Clock) -> PhoneSuite:
    """Take the slot's address for a run. Raises LabError where that or the driver is not to be had."""
    slot = assignment.slot
    expires_s = next(
        (int(case.parameters["expiry_s"]) for case in assignment.cases if "expiry_s" in case.parameters), EXPIRES_S
    )
    at, given = slot.sip
    account = Account(username=given.user, password=given.password.get_secret_value(), realm=REALM)
    registrar = Registrar(account, expires_s=expires_s, clock=clock)
    driver = driver_for(assignment)
    try:
        endpoint = SipEndpoint(clock=clock, registrar=registrar).open(host_and_port(at))
    except Unavailable as error:
        raise LabError(f"the slot's address is not free: {error.detail}") from error
    sender = Sender()
    try:
        await sender.ready()
    except Unavailable as error:
        endpoint.close()
        raise LabError(f"the bench cannot send audio: {error.detail}") from error
    for codec in (PCMU, PCMA, G722):
        tone_frames(codec.encoding)  # before anything is measured: it holds the loop up for some milliseconds
    meter = StallMeter()
    meter.start()
    bench = PhoneBench(
        endpoint=endpoint,
        registrar=registrar,
        driver=driver,
        meter=meter,
        clock=clock,
        ics=assignment.ics,
        ixit=assignment.ixit,
        power_port=slot.power,
        light_port=slot.light,
        audio_port=slot.audio,
        sender=sender,
    )
    suite = PhoneSuite(bench=bench, assignment=assignment, procedures=PROCEDURES)
    phones = any(companion.slot.registrar for companion in assignment.companions)
    return pair_suite(suite, bench, assignment, realm=REALM, expires_s=expires_s) if phones else suite

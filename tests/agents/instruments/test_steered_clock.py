from agents.instruments.steered_clock import STEERED_PPM, ClockState, clock_state, rate_uncertainty_ppm

STEERED = ClockState(steered=True, error_s=0.0003, correction_ppm=10.0)


def test_the_system_tells_how_its_clock_is_steered() -> None:
    told = clock_state()
    assert told.error_s >= 0
    assert abs(told.correction_ppm) <= 500  # the most that the kernel corrects, adjtimex(2)


def test_what_the_kernel_says_of_its_error_and_its_correction_is_uncertainty_of_the_rate() -> None:
    after = ClockState(steered=True, error_s=0.0003, correction_ppm=10.5)
    assert rate_uncertainty_ppm(STEERED, after, 600) == STEERED_PPM + 1 + 0.5


def test_the_rate_of_a_clock_that_nothing_steers_is_not_known() -> None:
    free = ClockState(steered=False, error_s=0.0, correction_ppm=0.0)
    assert rate_uncertainty_ppm(STEERED, free, 600) is None

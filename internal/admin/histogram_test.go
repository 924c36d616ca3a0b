package admin

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/polywire/polywire/core"
)

// What a scraper gets of a histogram of ours is what it gets of one of Prometheus' library.
func TestHistograms(t *testing.T) {
	desc := prometheus.NewDesc("polywire_test_seconds", "A test.", []string{"outcome"}, nil)
	var durations core.Durations
	theirs := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "test", Help: "A test.", NativeHistogramBucketFactor: 1.2, NativeHistogramZeroThreshold: math.Ldexp(1, -20),
		Buckets: prometheus.ExponentialBuckets(math.Ldexp(1, -18), 4, 14),
	})
	for _, d := range []time.Duration{
		0, 1, time.Microsecond, 5 * time.Microsecond, time.Millisecond, 1100 * time.Microsecond, 250 * time.Millisecond,
		time.Second, time.Second + 1, time.Second, 59 * time.Second, 1000 * time.Second,
	} {
		durations.Observe(d)
		theirs.Observe(d.Seconds())
	}
	var have, want dto.Metric
	if err := newHistogram(desc, durations.Read(), "ok").Write(&have); err != nil {
		t.Fatal(err)
	}
	if err := theirs.Write(&want); err != nil {
		t.Fatal(err)
	}
	if len(have.GetLabel()) != 1 || have.GetLabel()[0].GetValue() != "ok" {
		t.Errorf("the labels are %v", have.GetLabel())
	}
	h, w := have.GetHistogram(), want.GetHistogram()
	w.CreatedTimestamp = nil
	h.PositiveSpan, h.PositiveDelta = widened(h)
	w.PositiveSpan, w.PositiveDelta = widened(w)
	if math.Abs(h.GetSampleSum()-w.GetSampleSum()) > 1e-9 {
		t.Errorf("the sum is %v, want %v", h.GetSampleSum(), w.GetSampleSum())
	}
	h.SampleSum = w.SampleSum
	if h.String() != w.String() {
		t.Errorf("the histogram is\n%v, want\n%v", h, w)
	}

	// One without values is still seen to be native.
	var none core.Durations
	if err := newHistogram(desc, none.Read(), "ok").Write(&have); err != nil {
		t.Fatal(err)
	}
	if len(have.GetHistogram().GetPositiveSpan()) == 0 {
		t.Error("a histogram without values has no span")
	}
}

// widened returns the native buckets of a histogram as one span.
func widened(h *dto.Histogram) ([]*dto.BucketSpan, []int64) {
	spans, deltas := h.GetPositiveSpan(), h.GetPositiveDelta()
	offset, length := spans[0].GetOffset(), uint32(0)
	var wide []int64
	at, before, n := 0, int64(0), int64(0)
	put := func(v int64) {
		wide = append(wide, v-before)
		before = v
		length++
	}
	for i, s := range spans {
		for range s.GetOffset() {
			if i > 0 {
				put(0)
			}
		}
		for range s.GetLength() {
			n += deltas[at]
			put(n)
			at++
		}
	}
	return []*dto.BucketSpan{{Offset: &offset, Length: &length}}, wide
}

package admin

import (
	"fmt"
	"math"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/polywire/polywire/core"
)

// histogram is a metric of what a histogram has counted. A scraper that understands native
// histograms gets all buckets, any other one every perClassic-th, up to maxClassic.
type histogram struct {
	desc   *prometheus.Desc
	read   core.Histogram
	labels []*dto.LabelPair
}

// perDouble is the number of buckets from a value to its double, and perClassic that of one
// classic bucket, whose bounds are powers of 4.
const (
	perDouble  = 1 << core.HistogramSchema
	perClassic = 2 * perDouble
)

var _ prometheus.Metric = histogram{}

// newHistogram returns the metric. labels are the values of the labels of desc, in their order.
func newHistogram(desc *prometheus.Desc, read core.Histogram, labels ...string) prometheus.Metric {
	return histogram{desc, read, prometheus.MakeLabelPairs(desc, labels)}
}

func (h histogram) Desc() *prometheus.Desc { return h.desc }

// Write fills in both kinds of buckets.
func (h histogram) Write(to *dto.Metric) error {
	counts := h.read.Counts
	if len(counts) == 0 {
		return fmt.Errorf("writing %s: no buckets", h.desc)
	}
	all := uint64(0)
	var classic []*dto.Bucket
	for i, n := range counts {
		all += n
		if i%perClassic == 0 && i > 0 && i < len(counts)-1 {
			bound := math.Ldexp(1, h.read.Lowest+i/perDouble)
			sofar := all
			classic = append(classic, &dto.Bucket{UpperBound: &bound, CumulativeCount: &sofar})
		}
	}
	schema := int32(core.HistogramSchema)
	lowest := math.Ldexp(1, h.read.Lowest)
	spans, deltas := native(counts[1:], h.read.Lowest*perDouble+1)
	to.Label = h.labels
	to.Histogram = &dto.Histogram{
		SampleCount: &all, SampleSum: &h.read.Sum, Bucket: classic,
		Schema: &schema, ZeroThreshold: &lowest, ZeroCount: &counts[0],
		PositiveSpan: spans, PositiveDelta: deltas,
	}
	return nil
}

// native returns the buckets that are not empty, of which the first has the index first.
func native(counts []uint64, first int) (spans []*dto.BucketSpan, deltas []int64) {
	var before int64
	next := 0 // the index after the last span
	for i, n := range counts {
		if n == 0 {
			continue
		}
		index := first + i
		if len(spans) == 0 || index != next {
			offset, length := int32(index-next), uint32(0)
			spans = append(spans, &dto.BucketSpan{Offset: &offset, Length: &length})
		}
		*spans[len(spans)-1].Length++
		deltas = append(deltas, int64(n)-before)
		before, next = int64(n), index+1
	}
	if spans == nil {
		// Without one, the histogram would not be seen to be a native one.
		offset, length := int32(0), uint32(0)
		spans = []*dto.BucketSpan{{Offset: &offset, Length: &length}}
	}
	return spans, deltas
}

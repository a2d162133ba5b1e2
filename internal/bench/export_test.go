package bench

// LatencyOf reads a histogram.
func LatencyOf(h *Histogram) Latency {
	var v view
	h.view(&v)
	return v.latency()
}

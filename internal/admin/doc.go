// Package admin serves operators and their tools: /metrics in the Prometheus format, /livez,
// /readyz, reloads, taps and the page. It has a listener of its own, apart from the clients', and sees the broker
// only through [Source].
package admin

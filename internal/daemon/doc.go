// Package daemon is what every long-running command has around its work: a
// [Group] that starts parts in order and stops them in reverse, signals that drain
// it, a logger, and the HTTP server of operations ([HTTP]) with metrics, health,
// readiness and profiles.
//
// It knows nothing of what the parts do. A part that has to finish something when
// it is stopped does so within the group's grace period; what takes longer is
// given up and named.
package daemon

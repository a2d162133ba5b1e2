package broker

import (
	"regexp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListTransactions (key 66), versions 0 to 2. KIP-664, KIP-994 (how long they have been running, v1), KIP-1152 (a pattern, v2).
func listTransactionsAPI() api {
	return api{key: 66, min: 0, max: 2, serve: serveListTransactions, outline: "[= string ] [= int64 ] int64@1 string@2"}
}

func serveListTransactions(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.ListTransactionsRequest)
	resp := kmsg.NewPtrListTransactionsResponse()
	states := make(map[string]bool)
	for _, s := range req.StateFilters {
		state, err := kmsg.ParseTransactionState(s)
		if err != nil {
			resp.UnknownStateFilters = append(resp.UnknownStateFilters, s)
			continue
		}
		states[state.String()] = true
	}
	var pattern *regexp.Regexp
	if p := req.TransactionalIDPattern; rq.version >= 2 && p != nil && *p != "" {
		var err error
		if len(*p) <= maxPattern {
			pattern, err = regexp.Compile(wholePattern(*p))
		}
		if pattern == nil || err != nil {
			resp.ErrorCode = rq.code(codeInvalidRegex)
			rq.respond(resp)
			return nil
		}
	}
	for _, t := range rq.broker().txns.list() {
		t.mu.RLock()
		rs := kmsg.NewListTransactionsResponseTransactionState()
		rs.TransactionalID, rs.ProducerID, rs.TransactionState = t.id, t.producerID, t.state.String()
		since := time.Since(t.start).Milliseconds() // of one that never began: very long, as in Kafka
		dead := t.dead
		t.mu.RUnlock()
		switch {
		case dead || !rq.mayTxn(kmsg.ACLOperationDescribe, t.id):
		case len(req.StateFilters) > 0 && !states[rs.TransactionState]:
		case len(req.ProducerIDFilters) > 0 && !slices.Contains(req.ProducerIDFilters, rs.ProducerID):
		case rq.version >= 1 && req.DurationFilterMillis > 0 && since <= req.DurationFilterMillis:
		case pattern != nil && !pattern.MatchString(rs.TransactionalID):
		default:
			resp.TransactionStates = append(resp.TransactionStates, rs)
		}
	}
	rq.respond(resp)
	return nil
}

package admin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Problem puts an error of a request or an answer into one line: of a request that
// several brokers answer, what the first of them that failed had to say, and in
// front of Kafka's explanation no code that says the same. nil stays nil.
func Problem(err error) error {
	var shards *kadm.ShardErrors
	if errors.As(err, &shards) && len(shards.Errs) > 0 {
		first := shards.Errs[0]
		if first.Broker.NodeID < 0 || errors.Is(first.Err, kerr.UnsupportedVersion) {
			return Problem(first.Err)
		}
		return fmt.Errorf("broker %d: %w", first.Broker.NodeID, Problem(first.Err))
	}
	var auth *kadm.AuthError
	if errors.As(err, &auth) {
		return auth.Err
	}
	return err
}

// answer is the error of a code and a message in an answer.
func answer(code int16, message *string) error {
	err := kerr.ErrorForCode(code)
	if err == nil || message == nil || *message == "" {
		return err
	}
	return withMessage(err, *message)
}

// withMessage adds what the broker has to say to its error code.
func withMessage(err error, message string) error {
	if err == nil || message == "" {
		return err
	}
	return fmt.Errorf("%w (%s)", err, strings.TrimSuffix(message, "."))
}

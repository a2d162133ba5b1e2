package admin

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Serves reports whether a broker of the cluster serves a request.
func Serves(ctx context.Context, cl *kgo.Client, key kmsg.Key) (bool, error) {
	versions, err := kadm.NewClient(cl).ApiVersions(ctx)
	if err != nil {
		return false, Problem(err)
	}
	for _, v := range versions {
		if _, _, ok := v.KeyVersions(key.Int16()); ok {
			return true, nil
		}
	}
	return false, nil
}

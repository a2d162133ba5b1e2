package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/term"

	"github.com/tributary-net/tributary/internal/kafka/admin"
)

func newUsers() *cobra.Command {
	c := &cobra.Command{
		Use:   "users",
		Short: "List, add and remove users that log in by SCRAM",
		Example: `  tributary users list
  tributary users add alice --password-file alice.secret`,
	}
	k := clusterParent(c)
	c.AddCommand(newUsersList(k), newUsersAdd(k), newUsersRemove(k))
	return c
}

// usersOptions are the options of one command under users.
type usersOptions struct {
	kafka        *kafkaOptions
	output       string
	takes        string
	mechanisms   []string
	iterations   int32
	passwordFile string
}

func (o *usersOptions) register(fs *pflag.FlagSet, prefix string) {
	if o.takes == "list" {
		outputVar(fs, &o.output, prefix)
		return
	}
	what := "mechanism to take the password away for (repeatable); without it all that the user has"
	if o.takes == "add" {
		what = "mechanism to log in by (repeatable): " + strings.Join(admin.Mechanisms, ", ")
		intVar(fs, &o.iterations, prefix+"iterations", 4096, 16384, "rounds of hashing, for whoever logs in and for whoever steals the hash")
		stringVar(fs, &o.passwordFile, prefix+"password-file", "`file` whose first line is the password, - for standard input; without it the terminal asks")
	}
	listVar(fs, &o.mechanisms, prefix+"mechanism", "mechanism", oneOf(admin.Mechanisms...), what)
}

func (o *usersOptions) check() error { return o.kafka.check() }

func newUsersList(k *kafkaOptions) *cobra.Command {
	o := &usersOptions{kafka: k, output: "text", takes: "list"}
	return clusterCommand(&cobra.Command{
		Use:   "list [USER...]",
		Short: "List users and their mechanisms",
		Example: `  tributary users list
  tributary users list alice --output json`,
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error {
		users, err := admin.ListUsers(ctx, cl, args...)
		if err != nil {
			return err
		}
		return table(out, o.output, "USER\tMECHANISM\tITERATIONS", func(row func(v any, cells ...any) error) error {
			for _, u := range users {
				if err := row(u, u.User, u.Mechanism, u.Iterations); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func newUsersAdd(k *kafkaOptions) *cobra.Command {
	o := &usersOptions{kafka: k, takes: "add", mechanisms: []string{"SCRAM-SHA-512"}, iterations: 8192}
	c := &cobra.Command{
		Use:   "add USER",
		Short: "Add a user, or give a user another password",
		Long: `Add a user that logs in by SCRAM, or give one another password. The password comes from
a file or is asked for, never from the command line, where others could see it. The
cluster gets a salted hash of it.`,
		Example: `  tributary users add alice
  tributary users add alice --password-file alice.secret --mechanism SCRAM-SHA-256 --mechanism SCRAM-SHA-512`,
		Args: cobra.ExactArgs(1),
	}
	return configured(c, o, func(c *cobra.Command, args []string) error {
		password, err := o.password(c.InOrStdin(), c.ErrOrStderr())
		if err != nil {
			return err
		}
		ctx, stop := interruptible(c)
		defer stop()
		cl, err := k.client(ctx, c)
		if err != nil {
			return err
		}
		defer cl.Close()
		return k.endpoint.Explain(admin.SetPassword(ctx, cl, args[0], password, o.iterations, o.mechanisms...))
	})
}

// password reads the password from the file, or asks for it.
func (o *usersOptions) password(stdin io.Reader, stderr io.Writer) (string, error) {
	in := stdin
	switch f, ok := stdin.(*os.File); {
	case o.passwordFile == "" && ok && term.IsTerminal(int(f.Fd())):
		ask := func(what string) (string, error) {
			fmt.Fprint(stderr, what+": ")
			b, err := term.ReadPassword(int(f.Fd()))
			fmt.Fprintln(stderr)
			return string(b), err
		}
		password, err := ask("password")
		if err != nil {
			return "", err
		}
		again, err := ask("password again")
		if err == nil && again != password {
			err = errors.New("the passwords differ")
		}
		return password, err
	case o.passwordFile == "":
		return "", errors.New("no terminal to ask for the password; --password-file names a file, or - for standard input")
	case o.passwordFile != "-":
		f, err := os.Open(o.passwordFile)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	line, err := bufio.NewReader(io.LimitReader(in, 64<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errors.New("the password is empty")
	}
	return line, nil
}

func newUsersRemove(k *kafkaOptions) *cobra.Command {
	o := &usersOptions{kafka: k, takes: "remove"}
	return clusterCommand(&cobra.Command{
		Use:   "remove USER...",
		Short: "Remove users, or their password for a mechanism",
		Example: `  tributary users remove alice
  tributary users remove alice --mechanism SCRAM-SHA-256`,
		Args: cobra.MinimumNArgs(1),
	}, k, o, func(ctx context.Context, _ io.Writer, cl *kgo.Client, args []string) error {
		return each(args, func(user string) error { return admin.RemoveUser(ctx, cl, user, o.mechanisms...) })
	})
}

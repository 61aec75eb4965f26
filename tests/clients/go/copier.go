package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// copier copies SOURCE to TARGET in transactions, with franz-go, until it is killed; see loop/main.py.
func copier() error {
	ctx := context.Background()
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(os.Getenv("BOOTSTRAP")),
		kgo.TransactionalID(os.Getenv("TRANSACTIONAL_ID")),
		kgo.TransactionTimeout(20*time.Second),
		kgo.ConsumerGroup(os.Getenv("GROUP")),
		kgo.ConsumeTopics(os.Getenv("SOURCE")),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequireStableFetchOffsets(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.SessionTimeout(6*time.Second),
		kgo.MetadataMinAge(10*time.Millisecond),
	)
	if err != nil {
		return err
	}
	for {
		fetches := session.PollRecords(ctx, 50)
		if errs := fetches.Errors(); len(errs) > 0 {
			return errs[0].Err
		}
		if err := session.Begin(); err != nil {
			return err
		}
		failed := kgo.AbortingFirstErrPromise(session.Client())
		fetches.EachRecord(func(record *kgo.Record) {
			copied := &kgo.Record{Topic: os.Getenv("TARGET"), Partition: record.Partition, Value: record.Value}
			session.Produce(ctx, copied, failed.Promise())
		})
		// What is not committed because the group has moved on is consumed again.
		if _, err := session.End(ctx, kgo.TransactionEndTry(failed.Err() == nil)); err != nil {
			return err
		}
	}
}

// runCopier ends the process when copying ends, which is at an error.
func runCopier() {
	fmt.Fprintln(os.Stderr, copier())
	os.Exit(1)
}

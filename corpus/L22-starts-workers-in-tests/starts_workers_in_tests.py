"""Its tests start processes that share semaphores, speak over loopback and are killed."""
import os


def work(queue):
    queue.put(os.getpid())

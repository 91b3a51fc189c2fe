"""Several Python threads record and read at once; programs of one thread take no lock."""

from __future__ import annotations

from faults.child import succeeds

_STRESS = """
    import sys, threading
    from concurrent.futures import ThreadPoolExecutor
    import numpy
    import cupynumeric as np
    from cupynumeric import where
    sys.setswitchinterval(1e-6)
    shared = np.arange(64.0)

    def work(seed, m):
        x = m.arange(64, dtype=float) + seed
        total = 0.0
        for k in range(40):
            y = (x * 2.0 + k) - shared_of[m]
            y[1:] += y[:-1]
            y[3] = k
            z = m.where(y > 50, y, -1.5) + m.sqrt(abs(y))
            z = where_of[m](z > 9, z, 2.0)
            x = x + 1.0
            if k % 3 == seed % 3:
                total += float(z.sum())
            if k % 7 == 0:
                total += float(m.linalg.norm(z[:10])) + float(m.sort(z)[5]) + float(z[z > 3].sum())
        return total

    shared_of = {np: shared, numpy: numpy.arange(64.0)}
    where_of = {np: where, numpy: numpy.where}
    def one(seed):
        where_of[np] = where  # bound by name before any thread existed
        return work(seed, np)
    START
    want = [work(seed, numpy) for seed in range(8)]
    numpy.testing.assert_allclose(got, want, rtol=1e-12)
    print("equal")
"""


def test_pool_of_threads() -> None:
    start = """with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(one, range(8)))"""
    assert succeeds(_STRESS.replace("START", start)) == "equal\n"


def test_threads_beside_the_main_thread() -> None:
    start = """got = [None] * 8
    def fill(seed):
        got[seed] = one(seed)
    threads = [threading.Thread(target=fill, args=(seed,), daemon=seed % 2 == 0) for seed in range(7)]
    for t in threads: t.start()
    fill(7)
    for t in threads: t.join()"""
    assert succeeds(_STRESS.replace("START", start)) == "equal\n"


def test_one_array_updated_by_many_threads() -> None:
    """Each update is whole: none is lost, none is applied to a half-recorded window."""
    succeeds("""
        import sys, threading
        import numpy
        import cupynumeric as np
        sys.setswitchinterval(1e-6)
        total = np.zeros(16)
        def work():
            for k in range(300):
                total[:] += 1.0
                if k % 50 == 0:
                    float(total[3])
        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads: t.start()
        for t in threads: t.join()
        got = numpy.asarray(total)
        assert (got == got[0]).all() and got[0] == got[0].round(), got
    """)


def test_threads_that_threading_did_not_start() -> None:
    """`_thread.start_new_thread`, or a library's own threads: from their first flush on, everybody takes turns."""
    succeeds("""
        import _thread, time
        import cupynumeric as np
        from legate_jit.running import locking
        done = []
        def work():
            done.append(float((np.ones(10) * 2).sum()))
        assert not locking.is_shared()
        _thread.start_new_thread(work, ())
        for _ in range(500):
            if done: break
            time.sleep(0.01)
        assert done == [20.0] and locking.is_shared()
        assert float((np.ones(4) + 1).sum()) == 8
    """)


def test_one_thread_takes_no_lock() -> None:
    """The operators of a program of one thread are the plain ones; a second thread replaces them."""
    succeeds("""
        import threading
        import cupynumeric as np
        from legate_jit.running import locking
        from legate_jit import runtime
        class Refused:
            def __enter__(self): raise AssertionError("locked")
            def __exit__(self, *_): pass
        add, host = np.ndarray.__add__, runtime.host
        assert not locking.is_shared() and not hasattr(add, "__wrapped__")
        x = np.ones(3) + 1
        float(np.sqrt(x).sum())
        assert not locking.is_shared()
        threading.Thread(target=int).start()
        assert locking.is_shared()
        assert np.ndarray.__add__.__wrapped__ is add and runtime.host.__wrapped__ is host
        assert np.where.__name__ == "where" and np.where.__wrapped__
    """)


def test_warnings_still_name_the_users_line() -> None:
    succeeds("""
        import threading, warnings
        import cupynumeric as np
        threading.Thread(target=int).start()
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            np.ones(3, complex).astype(float)
        assert [w.filename for w in seen] == ["<string>"], [w.filename for w in seen]
    """)


def test_face_imported_after_the_first_thread() -> None:
    succeeds("""
        import threading
        import legate
        threading.Thread(target=int).start()
        import cupynumeric as np
        assert np.where.__wrapped__ and np.ndarray.__add__.__wrapped__ and np.fft.fft.__wrapped__ and np.pad.__wrapped__
        assert type(np.sin).__call__.__wrapped__
        assert float(np.where(np.ones(3) > 0, 2.0, 1.0).sum()) == 6
    """)

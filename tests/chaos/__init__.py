"""A campaign of faults against several brokers, and the checks that nothing was lost by it.

Everything real: OpenBao, brokers in processes of their own, an issuer that rotates for real. What is
checked is what others saw: the issuer's journal, a proxy before OpenBao, OpenBao's records, and the
token files of jobs. No broker is asked how it went.
"""

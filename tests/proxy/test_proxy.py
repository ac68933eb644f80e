
def test_auth(proxy):
    with proxy.client() as c:
        assert c.ping()
    print(proxy.events())
